"""The time and the disk space of a job, estimated from a shortened run of it."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.files import write_json
from trainyard.memory import bytes_on_disk

FILE = "cost.json"
EPOCHS, STEPS = 2, 32  # of a shortened run, at most; it validates and tests as the job does
LIMIT = 4.0  # seconds of training after which it ends


@dataclass
class Cost:
    """What a job takes.

    Attributes:
        startup: seconds beside the epochs, with the test.
        epoch: seconds.
        max_epochs: that `max_steps` allows; infinite without it.
        files: bytes of the run's directory after the first epoch, without checkpoints.
        growth: bytes that each further epoch adds.
        checkpoints: bytes.
    """

    startup: float
    epoch: float
    max_epochs: float
    files: float
    growth: float
    checkpoints: float = 0.0

    def time(self, epochs: float) -> float:
        """Return the seconds of a job of so many epochs."""
        return self.startup + min(epochs, self.max_epochs) * self.epoch

    def disk(self, epochs: float) -> float:
        """Return the bytes that a job of so many epochs leaves, without its checkpoints."""
        return self.files + (min(epochs, self.max_epochs) - 1) * self.growth

    @classmethod
    def read(cls, folder: Path, seconds: float) -> "Cost":
        """Return the cost that `MeasureCost` has written.

        Args:
            folder: of the shortened run.
            seconds: of its whole process.
        """
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        found |= {"startup": max(0.0, seconds - found["startup"]), "checkpoints": bytes_on_disk(folder / "checkpoints")}
        return cls(**found)


class MeasureCost(L.Callback):
    """Shortens a run, times its epochs, and writes its cost into the run's directory.

    The config stays that of the job, since schedules and fine-tuning follow from it: limits are set in the Trainer.
    Until `Cost.read` replaces it, `startup` holds the seconds of the epochs.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the limits before Lightning counts the batches; each epoch is validated once, at its end."""
        self.steps: list[tuple[float, int]] = []  # seconds and number of the steps after the first, by epoch
        self.validations: list[float] = []
        self.epochs: list[float] = []
        self.sizes: list[int] = []
        self.clocks: dict[str, float] = {}
        if stage == "fit":
            self.limit = limit = trainer.limit_train_batches
            trainer.limit_train_batches = min(limit, STEPS) if isinstance(limit, int) else STEPS
            self.interval, trainer.val_check_interval = trainer.val_check_interval, 1.0
            self.every, trainer.check_val_every_n_epoch = trainer.check_val_every_n_epoch or 1, 1
            trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = 0, None

    def elapsed(self, clock: str) -> float:
        """Return the seconds since a clock was started."""
        return time.perf_counter() - self.clocks[clock]

    def start(self, clock: str, trainer: L.Trainer) -> None:
        """Start a clock, when a GPU has computed what was queued."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        self.clocks[clock] = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the epoch before, whose checkpoints are saved by now."""
        self.end_epoch(trainer)
        self.start("epoch", trainer)

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock after the first step, which starts workers and compiles; end a run that takes long."""
        if batch_idx == 0:
            self.start("steps", trainer)
        self.clocks.setdefault("run", time.perf_counter())
        late = self.elapsed("run") > LIMIT
        trainer.should_stop |= bool(trainer.strategy.reduce_boolean_decision(late, all=False))
        self.batch_idx = batch_idx

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of the steps, and start that of the validation."""
        self.start("validation", trainer)
        self.steps.append((self.clocks["validation"] - self.clocks["steps"], self.batch_idx))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock of the validation."""
        self.validations.append(self.elapsed("validation"))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run after enough epochs."""
        trainer.should_stop |= trainer.current_epoch + 1 >= EPOCHS

    def end_epoch(self, trainer: L.Trainer) -> None:
        """Note the seconds of an epoch, and the bytes of the run's directory after it."""
        if "epoch" not in self.clocks:
            return
        self.epochs.append(self.elapsed("epoch"))
        if writer := tensorboard_writer(trainer):
            writer.flush()
        self.sizes.append(bytes_on_disk(Path(trainer.default_root_dir), but="checkpoints"))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the cost, by the last epoch: the first takes longer."""
        self.end_epoch(trainer)
        (seconds, steps), validation = self.steps[-1], self.validations[-1]
        all_steps = len(trainer.train_dataloader)  # type: ignore[arg-type]
        all_steps = min(all_steps, self.limit) if isinstance(self.limit, int) else int(all_steps * self.limit)
        interval = self.interval / all_steps if isinstance(self.interval, int) else self.interval
        step, beside = seconds / max(1, steps), self.epochs[-1] - seconds - validation
        max_steps = trainer.max_steps * trainer.accumulate_grad_batches
        cost = Cost(
            startup=sum(self.epochs),
            epoch=(all_steps - 1) * step + beside + validation / interval / self.every,
            max_epochs=max_steps / all_steps if max_steps > 0 else math.inf,
            files=self.sizes[0],
            growth=self.sizes[-1] - self.sizes[0],
        )
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / FILE, asdict(cost))
