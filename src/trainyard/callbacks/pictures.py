"""What a model predicts, in pictures and tables of TensorBoard."""

import logging
from abc import abstractmethod
from typing import Any, ClassVar

import lightning as L

from trainyard.callbacks.budget import budget_of
from trainyard.callbacks.leave import AtTheTest
from trainyard.callbacks.predictions import SPLIT, predictions_of
from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.data.loading.datamodule import DataModule
from trainyard.figures import figure_style
from trainyard.tasks.classification import Predictions, calibration_error, worst_mistakes
from trainyard.tasks.classification_figures import (
    calibration_figure,
    confusion_figure,
    mistakes_figure,
    mistakes_table,
    ranking_figure,
)
from trainyard.tasks.classification_report import class_table

log = logging.getLogger(__name__)


class Picture(AtTheTest):
    """Shows something of the validation predictions once a run is tested, if the budget allows it.

    Attributes:
        seconds: that it takes, about, on a slow processor.
    """

    seconds: ClassVar[float] = 0.0

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        predictions, writer, budget = predictions_of(trainer), tensorboard_writer(trainer), budget_of(trainer)
        if predictions is None or writer is None:
            return
        if not budget.allows(self.seconds):
            budget.left_out += 1
            return
        try:
            with budget.spending(), figure_style():
                self.draw(writer, predictions, trainer)
        except Exception as error:  # the run is done, and its scores are good
            log.warning("no picture of %s: %s: %s", type(self).__name__, type(error).__name__, error)

    @abstractmethod
    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Write to TensorBoard."""


class PerClass(Picture):
    """Precision, recall and F1 of each class, under Text."""

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Write the table."""
        writer.add_text(f"{SPLIT}/per_class", class_table(predictions), trainer.global_step)


class ConfusionMatrix(Picture):
    """Which class is taken for which, as counts and as shares, under Images."""

    seconds = 0.4

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Draw the figure."""
        writer.add_figure(f"{SPLIT}/confusion_matrix", confusion_figure(predictions), trainer.global_step)


class Mistakes(Picture):
    """The mistakes that the model was most sure of: pictures under Images, rows of a table under Text."""

    seconds = 0.4

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Draw pictures, or write rows; nothing where all is right."""
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        places = worst_mistakes(predictions)
        if not places:
            return
        examples, _ = data.original(SPLIT).__getitems__(places)
        if data.spec.kind == "images":
            figure = mistakes_figure(predictions, places, examples)
            writer.add_figure(f"{SPLIT}/mistakes", figure, trainer.global_step)
        else:
            table = mistakes_table(predictions, places, examples, data.spec)
            writer.add_text(f"{SPLIT}/mistakes", table, trainer.global_step)


class Calibration(Picture):
    """Whether the model is right as often as it says: a figure under Images, and the error as a number."""

    seconds = 0.3

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Draw the figure."""
        error = calibration_error(predictions)
        writer.add_scalar(f"{SPLIT}/calibration_error", error, trainer.global_step)
        writer.add_figure(f"{SPLIT}/calibration", calibration_figure(predictions), trainer.global_step)


class RankingCurves(Picture):
    """Precision over recall, and ROC, of each class, under Images."""

    seconds = 0.5

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Draw the figure."""
        writer.add_figure(f"{SPLIT}/precision_recall_and_roc", ranking_figure(predictions), trainer.global_step)
