"""The progress of a run: a bar on a terminal, one line an epoch elsewhere."""

import logging
import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

log = logging.getLogger(__name__)


class Progress(ProgressBar):
    """Shows epoch, losses and accuracies. The bar is redrawn ten times a second at most, not each step."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None
        self.shown = True

    def disable(self) -> None:
        """Show nothing; Lightning calls it on all processes but the first."""
        self.shown = False

    def enable(self) -> None:
        """Show again."""
        self.shown = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar on a terminal."""
        if self.shown and sys.stdout.isatty():
            steps = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
            self.bar = tqdm(total=steps, file=sys.stdout, unit="batch", dynamic_ncols=True, leave=False)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the epoch before the bar."""
        if self.bar is not None:
            self.bar.set_description(self.epoch_of(trainer), refresh=False)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bar.update()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say the epoch's scores."""
        scores = trainer.callback_metrics
        text = "  ".join(
            f"{name} {float(scores[name]):.4f}"
            for name in ("train/loss", "train/acc", "val/loss", "val/acc")
            if name in scores
        )
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
        elif self.shown:
            log.info("%s  %s", self.epoch_of(trainer), text)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that what follows starts on a line of its own."""
        self.close()

    @staticmethod
    def epoch_of(trainer: L.Trainer) -> str:
        """Return which epoch this is, counted from 1."""
        return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    def close(self) -> None:
        """Close the bar where there is one."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
