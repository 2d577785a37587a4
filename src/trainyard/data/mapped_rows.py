"""Rows of a table on disk that stay there until they are needed."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class MappedRows:
    """Some rows of a table, which look like a tensor of them, float32 `[N, F]`.

    Attributes:
        table: mapped from disk, `[M, F]`.
        rows: which of them, in order, int64 `[N]`.
    """

    table: Tensor
    rows: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, F)`."""
        return (len(self.rows), self.table.shape[1])

    def __getitem__(self, index: Tensor) -> "MappedRows":
        return MappedRows(self.table, self.rows[index])

    def read(self, index: Tensor) -> Tensor:
        """Return the rows at these positions, `[B, F]`."""
        return self.table.index_select(0, self.rows[index])

    def whole(self) -> Tensor:
        """Return all rows."""
        return self.table.index_select(0, self.rows)
