"""Precision, recall and F1 of each class."""

from dataclasses import dataclass

from trainyard.evaluation.markdown import markdown_table
from trainyard.evaluation.predictions import Predictions


@dataclass(frozen=True)
class ClassScores:
    """How well one class is found.

    Attributes:
        name: of the class.
        examples: of the class.
        precision: share of the predictions of this class that are right; 0 where there are none.
        recall: share of the examples of this class that are found, which is its accuracy; 0 where there are none.
        f1: harmonic mean of both.
    """

    name: str
    examples: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def class_scores(predictions: Predictions) -> list[ClassScores]:
    """Return the scores of each class, in the order of the classes."""
    named = (predictions.labels[predictions.hits], predictions.labels, predictions.predicted)
    hits, examples, guesses = (labels.bincount(minlength=len(predictions.classes)) for labels in named)
    precision, recall = hits / guesses.clamp(min=1), hits / examples.clamp(min=1)
    columns = (predictions.classes, examples.tolist(), precision.tolist(), recall.tolist())
    return [ClassScores(*row) for row in zip(*columns, strict=True)]


def class_table(predictions: Predictions) -> str:
    """Return a Markdown table of the classes, the worst F1 first, and their mean, each class counting the same."""
    scores = sorted(class_scores(predictions), key=lambda row: row.f1)
    names = ("precision", "recall", "f1")
    rows = [(row.name, row.examples, *(f"{getattr(row, name):.3f}" for name in names)) for row in scores]
    means = [f"{sum(getattr(row, name) for row in scores) / len(scores):.3f}" for name in names]
    head = ("class", "examples", "precision", "recall", "F1")
    return markdown_table(head, [*rows, ("*mean*", len(predictions), *means)])
