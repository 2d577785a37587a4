"""What is to be predicted: a class, numbers, or labels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

QUANTILES = 10  # of the first number by which examples are split; fewer if there are few examples
MIN_STRATUM = 20  # examples with about the same number or the same labels, so that each split gets its share


@dataclass(frozen=True)
class Classes:
    """One of several classes; the target of an example is its number, int64 `[N]`.

    Attributes:
        names: of the classes, in the order of their numbers.
        weights: of the classes in the training loss, 1 on average over the training examples; empty for equal weights.
    """

    kind: ClassVar[str] = "classification"
    noun: ClassVar[str] = "class"  # for one of the `names`
    nouns: ClassVar[str] = "classes"
    names: tuple[str, ...]
    weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """One or several numbers, float32 `[N, T]`, in the units of the data.

    Attributes:
        names: of the numbers.
        mean, std: of each number over the training examples, after the transformation; empty before they are known.
        transform: `none`, or `log`: the network predicts the logarithm.
        decimals: the decimal separator of each number in a table; empty if it is the point for all.
    """

    kind: ClassVar[str] = "regression"
    noun: ClassVar[str] = "number"  # for one of the `names`
    nouns: ClassVar[str] = "numbers"
    names: tuple[str, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    transform: str = "none"
    decimals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Labels:
    """Any number of labels; the target of an example is 1 for each label that it has, else 0, float32 `[N, L]`.

    Attributes:
        names: of the labels.
    """

    kind: ClassVar[str] = "multilabel"
    noun: ClassVar[str] = "label"  # for one of the `names`
    nouns: ClassVar[str] = "labels"
    names: tuple[str, ...]


Target = Classes | Numbers | Labels
KINDS: dict[str, type[Target]] = {cls.kind: cls for cls in (Classes, Numbers, Labels)}


def target_to_dict(target: Target) -> dict[str, Any]:
    """Return a target as primitives, for a checkpoint."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(target).items()}
    return {"kind": target.kind, **values}


def target_from_dict(stored: Mapping[str, Any]) -> Target:
    """Return the target of `target_to_dict`."""
    target: Target = from_primitives(KINDS[stored["kind"]], stored)
    return target


def from_primitives(kind: Any, stored: Mapping[str, Any]) -> Any:
    """Return an object with those of the stored values that its class has; older checkpoints contain others."""
    known = {field.name: stored[field.name] for field in fields(kind) if field.name in stored}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})


def strata(targets: Tensor) -> Tensor:
    """Return groups by which examples are split, int64 `[N]`: classes, quantiles of numbers, or sets of labels.

    An example with a rare set of labels is in the group of its rarest label.

    Args:
        targets: int64 `[N]`, or float32 `[N, T]`.
    """
    if targets.ndim == 1:
        return targets
    if not ((targets == 0) | (targets == 1)).all():
        ranks: Tensor = targets[:, 0].argsort(stable=True).argsort(stable=True)
        return ranks * min(QUANTILES, max(1, len(targets) // MIN_STRATUM)) // max(1, len(targets))
    _, sets, counts = targets.unique(dim=0, return_inverse=True, return_counts=True)
    labels = targets.shape[1]
    frequencies = torch.where(targets > 0, targets.sum(dim=0), torch.inf)
    rarest = torch.where(targets.any(dim=1), frequencies.argmin(dim=1), labels)
    return torch.where(counts[sets] < MIN_STRATUM // 2, rarest, labels + 1 + sets)
