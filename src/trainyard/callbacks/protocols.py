"""Optional methods of a LightningModule that callbacks use."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import lightning as L
from torch import Tensor


@runtime_checkable
class ActsBetweenSteps(Protocol):
    """A callback that saves checkpoints, or exits, between two batches."""

    def on_step_end(self, trainer: L.Trainer) -> None:
        """Called after all hooks of a training batch, when everything has been logged for it."""


@runtime_checkable
class Resumable(Protocol):
    """Has state within an epoch, such as sums of metrics, that a resumed run needs."""

    def training_state(self) -> dict[str, Any]:
        """Return the state as primitives and tensors."""

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `training_state` returned."""


@runtime_checkable
class ScoresTraining(Protocol):
    """Knows its training scores before the epoch ends."""

    def training_scores(self) -> dict[str, float]:
        """Return the scores since the last validation, such as `train/loss`; empty before the first batch."""


@runtime_checkable
class DiscardsBatches(Protocol):
    """Can remove a batch from its metrics."""

    def discard_last_batch(self) -> None:
        """Remove the last training batch from the metrics."""


def first_tensor(batch: Any) -> Tensor:
    """Return the first tensor in the lists, tuples and dicts of a batch, usually the inputs."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    return batch


def count_examples(batch: Any) -> int:
    """Return the number of examples in a batch."""
    return len(first_tensor(batch))
