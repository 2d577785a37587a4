"""The progress of a run: a display on a terminal, one line an epoch elsewhere, and the curves of its scores."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar

from trainyard.callbacks.training_display import TrainingDisplay, epoch_label
from trainyard.models.classifier import Classifier
from trainyard.terminal.display import Display

log = logging.getLogger(__name__)

SCORES = ("train/loss", "train/acc", "val/loss", "val/acc")


class Progress(ProgressBar):
    """Says each epoch's scores: in the log, and on the screen where no display shows them.

    The display is redrawn by time; between two drawings a step pays for a look at the clock.

    Attributes:
        curves: of each score, its values by epoch, of an earlier start of the run too; those of validation have none
            for an epoch that was not validated.
        validation: scores of the last validation in this epoch, if there was one.
        reported: the optimizer step of the last report, -1 before the first, `None` before training starts.
    """

    state_key = "Progress"

    def __init__(self) -> None:
        super().__init__()
        self.training: TrainingDisplay | None = None
        self.testing: Display | None = None
        self.shown = True
        self.curves: dict[str, list[float]] = {}
        self.validation: dict[str, float] = {}
        self.reported: int | None = None

    def disable(self) -> None:
        """Show nothing; Lightning calls it on all processes but the first."""
        self.shown = False

    def enable(self) -> None:
        """Show again."""
        self.shown = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the display on a terminal."""
        assert isinstance(pl_module, Classifier)
        self.reported = -1
        display = TrainingDisplay(trainer, pl_module)
        if self.shown and display.shown:
            self.training = display
            display.show()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin without scores."""
        self.validation = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw where it is time."""
        if self.training is not None:
            self.training.examples += batch[1].shape[0]
            if time.monotonic() >= self.training.due:
                self.training.show()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Have the display say that this is no training."""
        if self.training is not None:
            self.training.begin_validation()

    def on_validation_batch_end(self, *arguments: Any, **more: Any) -> None:
        """Draw where it is time."""
        if self.training is not None and time.monotonic() >= self.training.due:
            self.training.show()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the scores; have the display say that training goes on."""
        if trainer.sanity_checking:
            return
        self.validation = {name: float(trainer.callback_metrics[name]) for name in SCORES[2:]}
        if self.training is not None:
            self.training.end_validation()
        if self.reported in (None, trainer.global_step):  # after the last epoch
            self.report("final weights", self.validation)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report the epoch's scores, and none of an earlier epoch."""
        pl_module.on_train_epoch_end()  # Lightning calls it after its callbacks, where scores of training would be old
        scores = {name: float(trainer.callback_metrics[name]) for name in SCORES[:2]} | self.validation
        self.report(epoch_label(trainer), scores)
        self.reported = trainer.global_step

    def report(self, label: str, scores: Mapping[str, float]) -> None:
        """Add scores to the curves, and print them; "-" for those that were not measured."""
        for name, value in scores.items():
            self.curves.setdefault(name, []).append(value)
        if self.shown:
            text = "  ".join(f"{name} {scores[name]:.4f}" if name in scores else f"{name} -" for name in SCORES)
            log.info("%s  %s", label, text, extra={"displayed": self.training is not None})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the display."""
        self.close()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Be ready to show a test that takes its time."""
        self.testing = Display() if self.shown else None

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *more: Any, **others: Any) -> None:
        """Draw where it is time."""
        if self.testing is not None and time.monotonic() >= self.testing.due:
            done, total = more[2] + 1, sum(trainer.num_test_batches)
            self.testing.draw(self.testing.bar("test", done / total, f"{done}/{total}"))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the display."""
        self.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the display, so that the next output starts on a new line."""
        self.close()

    def close(self) -> None:
        """Close the display where there is one."""
        for display in (self.training, self.testing):
            if display is not None:
                display.close()
        self.training = self.testing = None

    def state_dict(self) -> dict[str, Any]:
        """Give the curves to the checkpoint, out of which a run that goes on has them again."""
        return {"curves": {name: [*values] for name, values in self.curves.items()}, "validation": self.validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the curves of a checkpoint."""
        self.curves = {name: [*values] for name, values in state_dict["curves"].items()}
        self.validation = dict(state_dict.get("validation", {}))
