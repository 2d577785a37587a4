"""What a model must know of its data, and the examples themselves."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class DataSpec:
    """Describes one example and its classes; a model is built from it, and a checkpoint carries it.

    Attributes:
        input_shape: `(F,)` for rows of F numbers, `(C, H, W)` for images.
        classes: the name of each class, in the order of the labels.
        features: the name of each column of a row; empty for images.
        mean, std: one number a column or channel, over the training examples alone; rows in their own units, images in
            units of their full range (0 is black, 1 is white).
    """

    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def kind(self) -> str:
        """`images` or `rows`."""
        return "images" if len(self.input_shape) == 3 else "rows"

    def to_dict(self) -> dict[str, Any]:
        """Return primitives only, as a checkpoint may hold them."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataSpec":
        """Return the spec that `to_dict` stored."""
        return cls(**{name: tuple(value) for name, value in stored.items()})


@dataclass(frozen=True)
class Examples:
    """Inputs, images uint8 `[N, C, H, W]` or rows float32 `[N, F]`, and their labels, int64 `[N]`."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def subset(self, index: Tensor) -> "Examples":
        """Return the examples at these positions."""
        return Examples(self.x[index], self.y[index])
