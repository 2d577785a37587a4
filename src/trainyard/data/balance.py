"""Classes of different sizes: weights in the loss, a sampler that draws them equally often, and the baseline."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trainyard.data.spec import Examples
from trainyard.errors import listing, reject

log = logging.getLogger(__name__)


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


def majority_baseline(splits: Mapping[str, Examples], classes: Sequence[str]) -> dict[str, Any]:
    """Return the most frequent class of the training examples, and the accuracy of always predicting it.

    Returns:
        `{"class": "no", "val/acc": 0.762, "test/acc": 0.761}`, as `result.json` holds it.
    """
    most = int(splits["train"].y.bincount(minlength=len(classes)).argmax())
    shares = {f"{name}/acc": float((splits[name].y == most).double().mean()) for name in ("val", "test")}
    return {"class": classes[most], **shares}


def warn_of_missing_classes(splits: Mapping[str, Examples], classes: Sequence[str]) -> None:
    """Log a warning for each of validation and test that lacks classes which training has."""
    counts = {name: part.y.bincount(minlength=len(classes)).tolist() for name, part in splits.items()}
    for name, split in (("val", "validation"), ("test", "test")):
        pairs = zip(classes, counts["train"], counts[name], strict=True)
        lacking = [f"{label} ({train})" for label, train, other in pairs if train and not other]
        if lacking:
            text = "%s lacks classes that training has (training examples): %s\n  %s/acc does not measure them"
            log.warning(text, split, listing(lacking), name)
