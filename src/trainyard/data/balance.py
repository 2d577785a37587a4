"""Classes of different sizes: weights in the loss, or a sampler that draws them equally often."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainyard.errors import reject


def class_weights_of(choice: str | Sequence[float], labels: Tensor, classes: int) -> tuple[float, ...]:
    """Return how much an example of each class counts in the loss, 1 on the average over the examples.

    Args:
        choice: `none` (then nothing is returned), `balanced`, or a number a class, of which only the ratios count.
        labels: of the training examples, int64 `[N]`.
        classes: how many there are.

    Raises:
        ConfigError: another number of weights than of classes, or none of a class that has examples.
    """
    if choice == "none":
        return ()
    counts = labels.bincount(minlength=classes).double()
    weights = torch.where(counts > 0, 1 / counts, 0) if isinstance(choice, str) else torch.tensor(choice).double()
    if len(weights) != classes:
        raise reject("data.class_weights", choice, f"{len(weights)} weights", f"one for each of the {classes} classes")
    mean = (weights * counts).sum() / counts.sum()
    if mean == 0:
        raise reject("data.class_weights", choice, "no example counts", "a weight above 0 for a class with examples")
    return tuple((weights / mean).tolist())


def example_weights(labels: Tensor) -> Tensor:
    """Return the proportions in which examples are drawn so that each class is as frequent, float32 `[N]`."""
    return (1 / labels.bincount().float())[labels]
