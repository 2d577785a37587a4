"""The specification of a data set, from which models are built, and the examples themselves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.target import Classes, Target, from_primitives, target_from_dict, target_to_dict
from trainyard.data.tables.dates import PERIODS

if TYPE_CHECKING:
    import lightning as L

MAX_EMBEDDING_WEIGHTS = 2**20  # of a column, unless it has more than 131,072 levels
MIN_EMBEDDING_WIDTH = 8


@dataclass(frozen=True)
class Column:
    """One input of a model for rows: how the cells of a table are parsed and what replaces a missing value.

    The levels of a categorical column have the codes 1, 2, ...; code 0 is a missing value or one that does not occur in
    the training rows.
    """

    name: str  # the header of the table's column, or `HEADER.PART` for a part of a date
    levels: tuple[str, ...] = ()  # empty for a numeric column
    median: float = 0.0  # of the training rows; replaces missing numbers
    quantiles: tuple[float, ...] = ()  # of the training rows, for `model=tabular`; 33 from the minimum to the maximum
    may_miss: bool = False  # whether training rows lack values; the model then adds a missing indicator
    embedded: bool = False  # whether the levels are embedded instead of one-hot encoded
    source: str = ""  # the header of the table's column, if it differs from the name
    part: str = ""  # of a date: `year`, `month`, `day`, `weekday`, `hour` or `days` (since 1970)
    format: str = ""  # of dates without their time of day, as for `strptime`, or `ISO8601`
    decimal: str = "."  # separator of numbers, `.` or `,`
    missing: tuple[str, ...] = ()  # texts that mark a missing value, in addition to the standard ones

    @property
    def header(self) -> str:
        """The header of the column in the table."""
        return self.source or self.name

    @property
    def period(self) -> int | None:
        """The period of a cyclic part of a date; `None` for other columns."""
        return PERIODS.get(self.part)

    @property
    def embedding_width(self) -> int:
        """The size of the embedding of a level: fastai's rule of thumb, with a limit on the weights of the column."""
        levels = len(self.levels)
        return int(min(round(1.6 * levels**0.56), max(MIN_EMBEDDING_WIDTH, MAX_EMBEDDING_WEIGHTS // levels)))


@dataclass(frozen=True)
class DataSpec:
    """Describes one example and its target; a model is built from it, and a checkpoint contains it.

    Attributes:
        input_shape: `(F,)` for rows of F numbers, `(C, H, W)` for images.
        target: what is to be predicted.
        columns: describes each number of a row; empty for images.
        mean, std: per column or channel, over the training examples only; rows in their own units, images in units of
            their full range (0 is black, 1 is white).
        value_range: the values that become black and white in image files with more than 8 bits per channel, see
            `trainyard.data.images.image_files.read_image`. Empty for other images and for rows.
    """

    input_shape: tuple[int, ...]
    target: Target
    columns: tuple[Column, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """`images` or `rows`."""
        return "images" if len(self.input_shape) == 3 else "rows"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty for other targets."""
        return self.target.names if isinstance(self.target, Classes) else ()

    def to_dict(self) -> dict[str, Any]:
        """Return primitives only, for a checkpoint."""
        values = {name: list(value) for name, value in asdict(self).items() if name != "target"}
        return {**values, "target": target_to_dict(self.target)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataSpec":
        """Return the spec that `to_dict` stored."""
        columns = tuple(from_primitives(Column, column) for column in stored["columns"])
        # Checkpoints of version 0.1 have only classes.
        before = {"kind": "classification", "names": stored.get("classes"), "weights": stored.get("class_weights", [])}
        target = target_from_dict(stored.get("target") or before)
        spec: DataSpec = from_primitives(cls, {**stored, "columns": columns, "target": target})
        return spec


@runtime_checkable
class DescribesData(Protocol):
    """A LightningDataModule that describes its examples, so that a model can be built for them."""

    @property
    def spec(self) -> DataSpec:
        """The description."""


def target_kind(data: object) -> str | None:
    """Return the kind of the target that a data module describes; `None` if it describes none."""
    target = data.spec.target if isinstance(data, DescribesData) and isinstance(data.spec, DataSpec) else None
    return target.kind if target else None


@runtime_checkable
class ReportsData(Protocol):
    """A LightningDataModule that checks and summarizes its examples before a run."""

    def check(self) -> None:
        """Raise a ConfigError if a run cannot use the examples."""

    def warnings(self) -> list[str]:
        """Return what limits the results of a run."""

    def summary(self) -> str:
        """Return number and shape of the examples in a few words."""

    def facts(self) -> dict[str, Any]:
        """Return JSON values for the result of the run, such as a fingerprint that reveals changes of the examples."""

    def baseline(self) -> dict[str, Any]:
        """Return the scores of the simplest prediction, by metric."""


@runtime_checkable
class CountsBatches(Protocol):
    """A LightningDataModule that knows its number of batches before a run."""

    def batch_counts(self, trainer: "L.Trainer") -> dict[str, int]:
        """Return the number of batches of `train`, `val` and `test` for each process of a Trainer."""


@dataclass(frozen=True)
class MappedRows:
    """Rows of a memory-mapped table, with the indexing of a tensor float32 `[N, F]`."""

    table: Tensor  # [M, F]
    rows: Tensor  # positions in the table, int64 [N]

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, F)`."""
        return (len(self.rows), self.table.shape[1])

    def __getitem__(self, index: Tensor) -> "MappedRows":
        return MappedRows(self.table, self.rows[index])

    def read(self, index: Tensor) -> Tensor:
        """Return the rows at these positions, `[B, F]`."""
        return self.table.index_select(0, self.rows[index])

    def read_all(self) -> Tensor:
        """Return all rows."""
        return self.table.index_select(0, self.rows)


@dataclass(frozen=True)
class Examples:
    """Inputs and their targets: classes int64 `[N]`, or numbers or labels float32 `[N, T]`.

    Inputs are images uint8 `[N, C, H, W]`, rows float32 `[N, F]`, or objects that read them on demand. `ids` int64
    `[N]`, where the source has them, are positions in its list of files or rows.
    """

    x: Tensor | ImageFiles | MappedRows
    y: Tensor
    ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.x.shape[1:])

    def subset(self, index: Tensor) -> "Examples":
        """Return the examples at these positions."""
        return Examples(self.x[index], self.y[index], None if self.ids is None else self.ids[index])

    def __getitems__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        """Return the inputs and targets of a batch; called by DataLoader."""
        positions = torch.tensor(index)
        x = self.x.index_select(0, positions) if isinstance(self.x, Tensor) else self.x.read(positions)
        return x, self.y.index_select(0, positions)
