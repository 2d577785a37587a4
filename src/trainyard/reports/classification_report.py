"""The report of an evaluation of predicted classes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from trainyard.reports.class_predictions import (
    ClassPredictions,
    accuracy_interval,
    calibration_error,
    class_scores,
    confusion_matrix,
)
from trainyard.reports.classification_figures import (
    MAX_CLASSES,
    calibration_figure,
    confusion_figure,
    ranking_figure,
)
from trainyard.reports.evaluation_report import Evaluation, lowest_scores, score_cells
from trainyard.terminal.formats import format_baseline
from trainyard.terminal.tables import markdown_table

MAX_MATRIX = 20  # classes of a confusion matrix in Markdown
SCORES = ("class", "examples", "precision", "recall", "F1")


def class_table(predictions: ClassPredictions) -> str:
    """Return the scores of each class as a Markdown table, lowest F1 first, and their unweighted mean."""
    scores = class_scores(predictions)
    columns = list(zip(*(row[2:] for row in scores), strict=True))
    means = [f"{sum(column) / len(column):.3f}" for column in columns]
    return markdown_table(SCORES, [*score_cells(scores), ("*mean*", len(predictions), *means)])


@dataclass(frozen=True)
class ClassificationReport(Evaluation):
    """The report on a test of predicted classes."""

    predictions: ClassPredictions

    @property
    def accuracy(self) -> tuple[str, float]:
        """Name and value of the accuracy, which the scores of a user's own task may lack."""
        name = "test/acc" if "test/acc" in self.scores else "accuracy"
        return name, self.scores.get(name, self.predictions.accuracy)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy."""
        examples = len(self.predictions)
        return accuracy_interval(round(self.accuracy[1] * examples), examples)

    @property
    def points(self) -> list[str]:
        """Lines about the model, the examples and the scores."""
        (low, high), (name, accuracy) = self.interval, self.accuracy
        baseline = format_baseline(self.baseline, "test/acc")
        others = sorted((other for other in self.scores if other != name), key=lambda other: other != "test/loss")
        return [
            *self.heading,
            f"{name:<10} {accuracy:.4f}{baseline}  [{low:.4f}, {high:.4f}] 95 % interval (Wilson)",
            *(f"{other:<10} {self.scores[other]:.4f}" for other in others),
            f"calibration error {calibration_error(self.predictions):.4f}",
            *self.threshold_lines,
            *self.notes,
        ]

    @property
    def threshold_lines(self) -> list[str]:
        """A line about the threshold of two classes, if the model has one, and the scores with it."""
        if self.predictions.threshold is None:
            return []
        row = class_scores(self.predictions)[1]
        scores = f"precision {row.precision:.3f}, recall {row.recall:.3f}, F1 {row.f1:.3f}"
        accuracy = f"accuracy {self.predictions.accuracy:.4f}"
        return [f"threshold  {row.name} from a probability of {self.predictions.threshold:.3g}: {accuracy}, {scores}"]

    @property
    def lines(self) -> list[str]:
        return [*self.points, *lowest_scores(SCORES, class_scores(self.predictions), "classes")]

    def details(self) -> dict[str, Any]:
        """Return interval, calibration and scores of the classes; over 1,000, the confusion matrix is `None`."""
        small = len(self.predictions.names) <= MAX_CLASSES
        threshold = self.predictions.threshold
        return {
            "interval": {"test/acc": list(self.interval)},
            "calibration_error": calibration_error(self.predictions),
            **({} if threshold is None else {"threshold": threshold}),
            "classes": [row._asdict() for row in class_scores(self.predictions)],
            "confusion_matrix": confusion_matrix(self.predictions).tolist() if small else None,
        }

    def markdown_tables(self) -> list[str]:
        names, parts = self.predictions.names, [class_table(self.predictions)]
        if len(names) <= MAX_MATRIX:
            rows = zip(names, confusion_matrix(self.predictions).tolist(), strict=True)
            parts.append(markdown_table(["true, predicted as", *names], [[name, *counts] for name, counts in rows]))
        return parts

    def figures(self) -> dict[str, Callable[[], Figure]]:
        """Return the confusion matrix, calibration, and for two classes precision-recall and ROC curves."""
        figures: dict[str, Callable[[], Figure]] = {}
        if len(self.predictions.names) <= MAX_CLASSES:
            figures["confusion_matrix"] = partial(confusion_figure, self.predictions)
        figures["calibration"] = partial(calibration_figure, self.predictions)
        if len(self.predictions.names) == 2:
            figures["precision_recall_and_roc"] = partial(ranking_figure, self.predictions)
        return figures
