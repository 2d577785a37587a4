"""What the best epoch predicts on validation, kept with the run."""

from itertools import islice
from pathlib import Path

import lightning as L
from lightning.pytorch.strategies import FSDPStrategy

from trainyard.callbacks.leave import AtTheTest
from trainyard.data.loading.datamodule import DataModule
from trainyard.history.saved_predictions import FILE
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import Predictions, predict_batches

SPLIT = "val"


class ValidationPredictions(AtTheTest):
    """Has the best checkpoint predict the validation examples, and writes `predictions/val.npz`.

    It is then looked at in pictures. Validation chose the epoch and may be looked at as often as one likes; the test
    examples are looked at once, for their score.

    Attributes:
        found: what was predicted, from the end of the test on; `None` before, and where no process has the whole model.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.found: Predictions | None = None

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Predict, on the first process alone, whose weights are those that were tested."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or isinstance(trainer.strategy, FSDPStrategy):
            return
        if not isinstance(pl_module, Classifier) or not isinstance(data, DataModule):
            return
        batches, limit = data.loader(SPLIT, all_ranks=True), trainer.limit_val_batches
        count = limit if isinstance(limit, int) else max(1, int(limit * len(batches)))
        with trainer.precision_plugin.forward_context():
            self.found = predict_batches(pl_module, islice(batches, count))
        self.found.save(self.folder / FILE)


def predictions_of(trainer: L.Trainer) -> Predictions | None:
    """Return what the best epoch predicts on validation, where it is known."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = (callback.found for callback in callbacks if isinstance(callback, ValidationPredictions))
    return next(found, None)
