"""Optional methods of a LightningModule that callbacks use, and functions for batches of any structure."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import lightning as L
from torch import Tensor

from trainyard.config.composition import walk


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
class ChecksInputs(Protocol):
    """Knows which inputs it can process, and which loss is too large for a model that learns."""

    largest_loss: float

    def has_valid_inputs(self, batch: Any) -> bool:
        """Return whether the model can process the inputs of a batch, in which values may be missing."""


@runtime_checkable
class ListsMetrics(Protocol):
    """Knows which metrics it logs in validation."""

    def validation_metrics(self) -> list[str]:
        """Return their names, such as `val/loss`; none if they are not known."""


@runtime_checkable
class DiscardsBatches(Protocol):
    """Can remove a batch from its metrics."""

    def discard_last_batch(self) -> None:
        """Remove the last training batch from the metrics."""


def named_tensors(batch: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in a batch of nested dicts, lists, tuples and dataclasses, with their dotted paths."""
    return ((path, part) for path, part in walk(batch) if isinstance(part, Tensor))


def tensors(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors in a batch, see `named_tensors`."""
    return (tensor for _, tensor in named_tensors(batch))


def count_examples(batch: Any) -> int:
    """Return the number of examples in a batch, the length of its first tensor; 0 if that is unknown."""
    first = next(tensors(batch), None)
    return len(first) if first is not None and first.ndim else 0
