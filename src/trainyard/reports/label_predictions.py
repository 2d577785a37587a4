"""Predicted labels of a split, of which an example may have several, and their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.loading.target_statistics import label_scores
from trainyard.history.saved_predictions import save_arrays
from trainyard.reports.bootstrap import bootstrap_interval
from trainyard.tasks.thresholds import f1_score

CAPTION_WIDTH = 30  # characters of a line above an image
COST = 5  # of the average precision of a label for an example, relative to the error of a number
BOOTSTRAPPED = ("f1", "f1_macro", "average_precision")


class LabelScores(NamedTuple):
    """Scores of a label: precision is 0 without predictions of it, recall and average precision without examples."""

    name: str
    examples: int
    threshold: float
    precision: float
    recall: float
    f1: float
    average_precision: float


@dataclass(frozen=True)
class LabelPredictions:
    """Predicted probabilities and true labels of a split."""

    probabilities: Tensor  # float32 [N, L]
    targets: Tensor  # whether each example has each label, bool [N, L]
    names: tuple[str, ...]  # of the L labels
    decisions: Tensor  # whether each label is predicted, bool [N, L]
    thresholds: tuple[float, ...]  # of the probabilities

    columns = ("missed", "wrong", "correct")

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def counts(self) -> Tensor:
        """Correct predictions, wrong predictions and missed labels of each example and label, float64 `[N, 3 L]`."""
        parts = (self.decisions & self.targets, self.decisions & ~self.targets, ~self.decisions & self.targets)
        return torch.cat(parts, dim=1).double()

    @cached_property
    def curves(self) -> "RankedExamples":
        """The examples in the order of their probabilities, for average precisions."""
        return RankedExamples.of(self.probabilities, self.targets)

    @property
    def scores(self) -> dict[str, float]:
        """Scores with the names of `MultiLabel.scores` at the thresholds, and the mean average precision."""
        f1, macro, average = self.weighted_scores(torch.ones(len(self), dtype=torch.float64)).tolist()
        exact = float((self.decisions == self.targets).all(dim=1).double().mean())
        probabilities = self.probabilities.double().clamp(1e-45, 1)
        loss = float(F.binary_cross_entropy(probabilities, self.targets.double()))
        return {"f1": f1, "f1_macro": macro, "acc": exact, "loss": loss, "average_precision": average}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % confidence intervals of F1 scores and mean average precision, see `bootstrap_interval`."""
        bounds = bootstrap_interval(self.weighted_scores, len(self), width=COST * len(self.names))
        return {name: (low, high) for name, (low, high) in zip(BOOTSTRAPPED, bounds.tolist(), strict=True)}

    def weighted_scores(self, weights: Tensor) -> Tensor:
        """Return micro F1, macro F1 and mean average precision, float64 `[3]`.

        Args:
            weights: how often each example counts, float64 `[N]`.
        """
        counts = (weights @ self.counts).view(3, -1)
        averages = self.curves.average_precisions(weights)
        return torch.stack([f1_score(*counts.sum(dim=1)), f1_score(*counts).mean(), averages.nanmean()])

    @property
    def label_scores(self) -> list[LabelScores]:
        """The scores of each label, in the order of the labels."""
        correct, wrong, missed = self.counts.sum(dim=0).view(3, -1)
        precision, recall = (correct / (correct + others).clamp(min=1) for others in (wrong, missed))
        averages = self.curves.average_precisions(torch.ones(len(self), dtype=torch.float64)).nan_to_num()
        f1 = f1_score(correct, wrong, missed)
        columns = [values.tolist() for values in ((correct + missed).long(), precision, recall, f1, averages)]
        rows = zip(self.names, columns[0], self.thresholds, *columns[1:], strict=True)
        return [LabelScores(*row) for row in rows]

    def baseline(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the scores of always predicting the labels that the baseline of a run names; empty if it has none."""
        names = stored.get("labels")
        if not isinstance(names, list) or not set(map(str, names)) <= set(self.names):
            return {}
        scores = label_scores(torch.tensor([name in names for name in self.names]), self.targets)
        return {"labels": names, **{f"test/{name}": value for name, value in scores.items()}}

    def has(self, number: int) -> Tensor:
        """Return whether each example has a label, bool `[N]`."""
        return self.targets[:, number]

    def marked(self, number: int) -> tuple[float, Tensor]:
        """Return the threshold of a label, and for which examples it is predicted."""
        return self.thresholds[number], self.decisions[:, number]

    def worst(self, most: int = 16) -> list[int]:
        """Return the positions of the examples with the most wrong labels; among equal ones, the largest loss first."""
        errors = (self.decisions != self.targets).sum(dim=1)
        losses = F.binary_cross_entropy(self.probabilities, self.targets.float(), reduction="none").mean(dim=1)
        order = losses.argsort(descending=True, stable=True)
        order = order[errors[order].argsort(descending=True, stable=True)]
        return [position for position in order[:most].tolist() if errors[position]]

    def describe(self, position: int) -> tuple[str, ...]:
        """Return the missed, the wrongly and the correctly predicted labels of an example, with their probabilities."""
        percents = [f"{name} {share:.0%}" for name, share in zip(self.names, self.probabilities[position], strict=True)]
        return tuple(", ".join(percents[number] for number in group) for group in self.groups(position))

    def caption(self, position: int) -> str:
        """Return the missed and the wrongly predicted labels of an example, for the title of its image."""
        lines = []
        for word, group in zip(self.columns[:2], self.groups(position), strict=False):
            if group:
                lines.append(shorten(f"{word} {', '.join(self.names[number] for number in group)}", CAPTION_WIDTH))
        return "\n".join(lines)

    def groups(self, position: int) -> list[list[int]]:
        """Return the missed, the wrongly and the correctly predicted labels of an example by their numbers."""
        decided, present = self.decisions[position], self.targets[position]
        chosen = (~decided & present, decided & ~present, decided & present)
        return [mask.nonzero().flatten().tolist() for mask in chosen]

    def save(self, path: Path) -> None:
        """Write `probabilities`, `targets` and `names` as a NumPy archive, atomically."""
        save_arrays(path, probabilities=self.probabilities, targets=self.targets, names=self.names)


class RankedExamples(NamedTuple):
    """Examples by descending probability of each label, `[L, N]`, to compute average precisions for many weights."""

    order: Tensor  # positions of the examples
    targets: Tensor  # whether they have the label, float64
    last: Tensor  # the rank of the last example with the same probability

    @classmethod
    def of(cls, probabilities: Tensor, targets: Tensor) -> "RankedExamples":
        """Sort examples, `[N, L]`."""
        sorted_, order = probabilities.T.sort(dim=1, descending=True, stable=True)
        last = torch.searchsorted(-sorted_.contiguous(), -sorted_.contiguous(), right=True) - 1
        return cls(order, targets.T.double().gather(1, order), last)

    def average_precisions(self, weights: Tensor) -> Tensor:
        """Return the average precision of each label, float64 `[L]`; NaN without examples that have it.

        It is the mean over these examples of the precision at the threshold of each, as torchmetrics computes it.

        Args:
            weights: how often each example counts, float64 `[N]`.
        """
        drawn = weights[self.order]
        present = drawn * self.targets
        precision = present.cumsum(dim=1) / drawn.cumsum(dim=1).clamp(min=1)
        return (present * precision.gather(1, self.last)).sum(dim=1) / present.sum(dim=1)
