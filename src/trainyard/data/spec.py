"""What a model must know of its data, and the examples themselves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from trainyard.data.image_files import ImageFiles
from trainyard.data.mapped_rows import MappedRows

PERIODS = {"month": 12, "day": 31, "weekday": 7, "hour": 24}


@dataclass(frozen=True)
class Column:
    """One input of a model that takes rows: how the cells of a table are read, and what replaces a missing value.

    Attributes:
        name: of the input; the header of the table's column, for a part of a date `HEADER.PART`.
        levels: the values of a categorical column, in the order of their codes 1, 2, ...; code 0 is a value that is
            missing or that training has not seen. Empty for a numeric column.
        median: of a numeric column over the training rows; stands in for a missing value.
        may_miss: whether training rows miss values of a numeric column; it then gets an indicator beside it.
        embedded: whether the levels are embedded instead of one-hot encoded.
        width: numbers in the embedding of a level; 0 for fastai's rule of thumb.
        source: the header of the table's column, if it is not the name.
        part: of a date: `year`, `month`, `day`, `weekday`, `hour` or `days` (since 1970). Empty for other columns.
        format: of dates, as `strptime` has it, or `ISO8601`; a numeric column that has one takes days since 1970 too.
        decimal: the decimal separator of numbers, `.` or `,`; empty if nothing is known of it.
        missing: texts that mark a missing value, beside those that mark one in every table.
    """

    name: str
    levels: tuple[str, ...] = ()
    median: float = 0.0
    may_miss: bool = False
    embedded: bool = False
    width: int = 0
    source: str = ""
    part: str = ""
    format: str = ""
    decimal: str = ""
    missing: tuple[str, ...] = ()

    @property
    def header(self) -> str:
        """The header of the table's column."""
        return self.source or self.name

    @property
    def period(self) -> int | None:
        """After which a part of a date begins again; `None` for other columns."""
        return PERIODS.get(self.part)

    @property
    def embedding_width(self) -> int:
        """How many numbers the embedding of a level has."""
        return self.width or embedding_width(len(self.levels))


def embedding_width(levels: int) -> int:
    """Return how many numbers stand for one of so many levels; fastai's rule of thumb, 600 at most."""
    return int(min(600, round(1.6 * levels**0.56)))


@dataclass(frozen=True)
class DataSpec:
    """Describes one example and its classes; a model is built from it, and a checkpoint carries it.

    Attributes:
        input_shape: `(F,)` for rows of F numbers, `(C, H, W)` for images.
        classes: the name of each class, in the order of the labels.
        columns: what each number of a row is; empty for images.
        mean, std: one number a column or channel, over the training examples alone; rows in their own units, images in
            units of their full range (0 is black, 1 is white).
        class_weights: how much an example of each class counts in the training loss, 1 on the average over the training
            examples; empty where all count the same.
        value_range: the values that become black and white where image files have more than 8 bits per channel; see
            `trainyard.data.image_files.read_image`. `None` for rows, and for models that stored none.
    """

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_weights: tuple[float, ...] = ()
    value_range: tuple[float, ...] | None = None

    @property
    def kind(self) -> str:
        """`images` or `rows`."""
        return "images" if len(self.input_shape) == 3 else "rows"

    def to_dict(self) -> dict[str, Any]:
        """Return primitives only, as a checkpoint may hold them."""
        return {name: list(value) for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataSpec":
        """Return the spec that `to_dict` stored."""
        lists = ("levels", "missing")
        columns = tuple(
            Column(**{**column, **{key: tuple(column.get(key, ())) for key in lists}}) for column in stored["columns"]
        )
        given = {name: tuple(value) for name, value in stored.items() if value is not None}
        return cls(**{**given, "columns": columns})


@dataclass(frozen=True)
class Examples:
    """Inputs and their labels, int64 `[N]`.

    The inputs are images uint8 `[N, C, H, W]`, rows float32 `[N, F]`, or what is read when it is needed: files of
    images, features on disk. `ids` int64 `[N]`, where a source keeps them, tell which file or line of it each is.
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
        """Return the inputs and labels at these positions; a DataLoader calls it with those of a batch."""
        positions = torch.tensor(index)
        x = self.x.index_select(0, positions) if isinstance(self.x, Tensor) else self.x.read(positions)
        return x, self.y.index_select(0, positions)
