"""The report of an evaluation of predicted labels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from trainyard.reports.classification_figures import ranking_figure
from trainyard.reports.evaluation_report import ScoreTable, lowest_scores, score_cells
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.terminal.tables import markdown_table

COLUMNS = ("label", "examples", "threshold", "precision", "recall", "F1", "average precision")


def label_table(predictions: LabelPredictions) -> str:
    """Return the scores of each label as a Markdown table, lowest F1 first."""
    return markdown_table(COLUMNS, score_cells(predictions.label_scores))


@dataclass(frozen=True)
class LabelReport(ScoreTable):
    """The report on a test of predicted labels, at the thresholds of the model."""

    predictions: LabelPredictions

    worst_title = "most wrong labels"
    worst_are_numbers = False

    @property
    def target_lines(self) -> list[str]:
        return lowest_scores(COLUMNS, self.predictions.label_scores, "labels")

    def details(self) -> dict[str, Any]:
        return {**super().details(), "labels": [row._asdict() for row in self.predictions.label_scores]}

    def markdown_tables(self) -> list[str]:
        scores, *worst = super().markdown_tables()
        return [scores, label_table(self.predictions), *worst]

    def figures(self) -> dict[str, Callable[[], Figure]]:
        return {"precision_recall_and_roc": partial(ranking_figure, self.predictions), **super().figures()}
