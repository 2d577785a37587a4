"""Examples that are rows of a table."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.data.table_columns import fitted, recoded


class Rows(DataModule):
    """A source of rows. What is known of its columns comes from the training rows alone, and goes into the model.

    A missing number becomes the median, with an indicator beside it where training rows miss some; a category is
    one-hot encoded, or embedded where it has many levels.

    Args:
        one_hot_limit: most levels of a category that are one-hot encoded; more are embedded.
        shared: as in `DataModule`.
    """

    kind = "rows"

    def __init__(self, one_hot_limit: int = 16, **shared: Any) -> None:
        super().__init__(**shared)
        self.one_hot_limit = one_hot_limit

    def prepare(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Learn medians and levels from the training rows; the others get the codes of their levels."""
        train = tensor(parts["train"])
        before = self.columns
        self.columns = tuple(
            fitted(column, train[:, number], self.one_hot_limit) for number, column in enumerate(before)
        )
        pairs = list(zip(before, self.columns, strict=True))

        def recode(x: Tensor) -> Tensor:
            return torch.stack([recoded(x[:, number], *pair) for number, pair in enumerate(pairs)], dim=1)

        return {name: replace(part, x=recode(tensor(part))) for name, part in parts.items()}


def tensor(examples: Examples) -> Tensor:
    """Return the rows."""
    assert isinstance(examples.x, Tensor)
    return examples.x
