"""Predictions of the best epoch on validation, and their figures and tables in TensorBoard."""

import logging
from abc import abstractmethod
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
from lightning.pytorch.strategies import FSDPStrategy

from trainyard.callbacks.tensorboard import find_drawing_budget, tensorboard_writer
from trainyard.data.loading.datamodule import DataModule
from trainyard.history.saved_predictions import FILE
from trainyard.io.figures import figure_style
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import ClassPredictions, calibration_error
from trainyard.reports.classification_figures import (
    MAX_CLASSES,
    RankedPredictions,
    calibration_figure,
    confusion_figure,
    ranking_figure,
)
from trainyard.reports.classification_report import class_table
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.label_report import label_table
from trainyard.reports.mistakes import mistakes_figure, mistakes_table
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.regression_figures import predicted_against_true_figure, residual_figure
from trainyard.reports.split_predictions import SplitPredictions, predict_batches

log = logging.getLogger(__name__)

SPLIT = "val"


class ValidationPredictions(L.Callback):
    """Predicts the validation examples with the best checkpoint, and writes `predictions/val.npz` into `folder`.

    The figures use these predictions, since the test examples are used once, for the score.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.predictions: SplitPredictions | None = None  # until the test, and if no process has the whole model

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Predict on rank 0 with the weights that were tested."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or isinstance(trainer.strategy, FSDPStrategy):
            return
        if not isinstance(pl_module, SupervisedModel) or not isinstance(data, DataModule):
            return
        batches, limit = data.loader(SPLIT, all_ranks=True), trainer.limit_val_batches
        count = limit if isinstance(limit, int) else max(1, int(limit * len(batches)))
        with trainer.precision_plugin.forward_context():
            self.predictions = predict_batches(pl_module, islice(batches, count))
        self.predictions.save(self.folder / FILE)


class ValidationFigure(L.Callback):
    """Base class of callbacks that show validation predictions in TensorBoard after the test, within a time budget."""

    seconds: ClassVar[float] = 0.0  # approximate time to draw on a slow processor
    kinds: ClassVar[tuple[type, ...]] = (ClassPredictions, NumberPredictions, LabelPredictions)  # others are not drawn

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw if the time budget allows it; an error is logged as a warning."""
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        stored = (callback.predictions for callback in callbacks if isinstance(callback, ValidationPredictions))
        predictions, writer, budget = next(stored, None), tensorboard_writer(trainer), find_drawing_budget(trainer)
        if not isinstance(predictions, self.kinds) or writer is None:
            return
        if not budget.allows(self.seconds):
            budget.skipped += 1
            return
        try:
            with budget.measure(), figure_style():
                self.draw(writer, predictions, trainer)
        except Exception as error:  # a figure must not fail a finished run
            log.warning("no figure of %s: %s: %s", type(self).__name__, type(error).__name__, error)

    @abstractmethod
    def draw(self, writer: Any, predictions: Any, trainer: L.Trainer) -> None:
        """Write predictions of one of the `kinds` to TensorBoard."""


class PerClass(ValidationFigure):
    """Precision, recall and F1 of each class or label, under Text."""

    kinds = (ClassPredictions, LabelPredictions)

    def draw(self, writer: Any, predictions: RankedPredictions, trainer: L.Trainer) -> None:
        if isinstance(predictions, ClassPredictions):
            writer.add_text(f"{SPLIT}/per_class", class_table(predictions), trainer.global_step)
        else:
            writer.add_text(f"{SPLIT}/per_label", label_table(predictions), trainer.global_step)


class ConfusionMatrix(ValidationFigure):
    """The confusion matrix, as counts and as fractions, under Images."""

    seconds = 0.4
    kinds = (ClassPredictions,)

    def draw(self, writer: Any, predictions: ClassPredictions, trainer: L.Trainer) -> None:
        if len(predictions.names) <= MAX_CLASSES:
            writer.add_figure(f"{SPLIT}/confusion_matrix", confusion_figure(predictions), trainer.global_step)


class PredictedAgainstTrue(ValidationFigure):
    """Predicted against true numbers, and their errors, under Images."""

    seconds = 0.6
    kinds = (NumberPredictions,)

    def draw(self, writer: Any, predictions: NumberPredictions, trainer: L.Trainer) -> None:
        figure = predicted_against_true_figure(predictions)
        writer.add_figure(f"{SPLIT}/predicted_against_true", figure, trainer.global_step)
        writer.add_figure(f"{SPLIT}/residuals", residual_figure(predictions), trainer.global_step)


class Mistakes(ValidationFigure):
    """The most confident mistakes or the largest errors: images under Images, or rows of a table under Text."""

    seconds = 0.4

    def draw(self, writer: Any, predictions: SplitPredictions, trainer: L.Trainer) -> None:
        data: DataModule = trainer.datamodule  # type: ignore[attr-defined]
        positions = predictions.worst()
        if not positions:
            return
        examples, _ = data.original(SPLIT).__getitems__(positions)
        if data.spec.kind == "images":
            figure = mistakes_figure(predictions, positions, examples)
            writer.add_figure(f"{SPLIT}/mistakes", figure, trainer.global_step)
        else:
            table = mistakes_table(predictions, positions, examples, data.spec)
            writer.add_text(f"{SPLIT}/mistakes", table, trainer.global_step)


class Calibration(ValidationFigure):
    """The reliability diagram under Images, and the expected calibration error as a scalar."""

    seconds = 0.3
    kinds = (ClassPredictions,)

    def draw(self, writer: Any, predictions: ClassPredictions, trainer: L.Trainer) -> None:
        error = calibration_error(predictions)
        writer.add_scalar(f"{SPLIT}/calibration_error", error, trainer.global_step)
        writer.add_figure(f"{SPLIT}/calibration", calibration_figure(predictions), trainer.global_step)


class RankingCurves(ValidationFigure):
    """Precision-recall and ROC curves of each class or label, under Images."""

    seconds = 0.5
    kinds = (ClassPredictions, LabelPredictions)

    def draw(self, writer: Any, predictions: RankedPredictions, trainer: L.Trainer) -> None:
        writer.add_figure(f"{SPLIT}/precision_recall_and_roc", ranking_figure(predictions), trainer.global_step)
