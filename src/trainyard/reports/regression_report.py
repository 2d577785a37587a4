"""The report of an evaluation of predicted numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from trainyard.reports.evaluation_report import TEST, ScoreTable
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.regression_figures import predicted_against_true_figure, residual_figure


@dataclass(frozen=True)
class RegressionReport(ScoreTable):
    """The report on a test of predicted numbers, in the units of the data."""

    predictions: NumberPredictions

    worst_title = "worst errors"
    worst_are_numbers = True

    def show(self, name: str, value: float) -> str:
        """Return an R² with four decimals, since it is 0 up to rounding for the mean."""
        return f"{round(value, 4) + 0.0:.4f}" if name.startswith(f"{TEST}r2") else super().show(name, value)

    def figures(self) -> dict[str, Callable[[], Figure]]:
        return {
            "predicted_against_true": partial(predicted_against_true_figure, self.predictions),
            "residuals": partial(residual_figure, self.predictions),
            **super().figures(),
        }
