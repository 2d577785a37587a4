"""The time and disk space of a job, measured in a shortened run."""

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
EPOCHS, STEPS = 2, 32  # of a shortened run, at most; validation and test are not shortened
LIMIT = 4.0  # seconds of training


@dataclass
class Cost:
    """Time and disk space of a job.

    Attributes:
        network: number of parameters and shapes, as text.
        startup: seconds outside of the epochs, with the test.
        epoch: seconds of an epoch.
        max_epochs: limit by `max_steps`; infinite without it.
        files: bytes of the run directory after the first epoch, without checkpoints.
        growth: bytes that each further epoch adds.
        checkpoints: bytes.
    """

    network: tuple[str, str]
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
        """Return the bytes that a job of so many epochs writes, without its checkpoints."""
        return self.files + (min(epochs, self.max_epochs) - 1) * self.growth

    @classmethod
    def read(cls, folder: Path, seconds: float) -> "Cost":
        """Return the cost that `MeasureCost` has written.

        Args:
            folder: of the shortened run.
            seconds: of its process.
        """
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        content["startup"] = max(0.0, seconds - content["startup"])
        return cls(**{**content, "checkpoints": bytes_on_disk(folder / "checkpoints")})


class MeasureCost(L.Callback):
    """Shortens a run, and writes its cost into the run directory.

    The config stays that of the job, since schedules and fine-tuning depend on it: the limits are set in the Trainer.
    Until `Cost.read` replaces it, `startup` contains the seconds of the epochs.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the limits before Lightning counts the batches; each epoch is validated once, at its end."""
        self.steps: list[tuple[float, int]] = []  # of each epoch: seconds and number of the steps after the first
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
        """Start a clock, after the GPU has finished."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        self.clocks[clock] = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the previous epoch, after its checkpoints were saved."""
        self.end_epoch(trainer)
        self.start("epoch", trainer)

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Time the steps after the first, which starts workers and compiles; end a slow run."""
        if batch_idx == 0:
            self.start("steps", trainer)
        self.clocks.setdefault("run", time.perf_counter())
        is_late = self.elapsed("run") > LIMIT
        trainer.should_stop |= bool(trainer.strategy.reduce_boolean_decision(is_late, all=False))
        self.batch_idx = batch_idx

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start timing the validation."""
        self.start("validation", trainer)
        self.steps.append((self.clocks["validation"] - self.clocks["steps"], self.batch_idx))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the time of the validation."""
        self.validations.append(self.elapsed("validation"))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run after enough epochs."""
        trainer.should_stop |= trainer.current_epoch + 1 >= EPOCHS

    def end_epoch(self, trainer: L.Trainer) -> None:
        """Store the time of an epoch, and the size of the run directory."""
        if "epoch" not in self.clocks:
            return
        self.epochs.append(self.elapsed("epoch"))
        if writer := tensorboard_writer(trainer):
            writer.flush()
        self.sizes.append(bytes_on_disk(Path(trainer.default_root_dir), but="checkpoints"))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the cost, as estimated by the last epoch."""
        self.end_epoch(trainer)
        (seconds, steps), validation = self.steps[-1], self.validations[-1]
        all_steps = len(trainer.train_dataloader)  # type: ignore[arg-type]
        all_steps = min(all_steps, self.limit) if isinstance(self.limit, int) else int(all_steps * self.limit)
        interval = self.interval / all_steps if isinstance(self.interval, int) else self.interval
        step, other = seconds / max(1, steps), self.epochs[-1] - seconds - validation
        max_steps = trainer.max_steps * trainer.accumulate_grad_batches
        cost = Cost(
            network=describe_network(pl_module),
            startup=sum(self.epochs),
            epoch=(all_steps - 1) * step + other + validation / interval / self.every,
            max_epochs=max_steps / all_steps if max_steps > 0 else math.inf,
            files=self.sizes[0],
            growth=self.sizes[-1] - self.sizes[0],
        )
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / FILE, asdict(cost))


def describe_network(module: L.LightningModule) -> tuple[str, str]:
    """Return the number of parameters, and the shapes of input and output without the batch, as text."""
    parameters = f"{sum(parameter.numel() for parameter in module.parameters()):,}"
    example = module.example_input_array
    if not isinstance(example, torch.Tensor):
        return parameters, ""
    module.eval()
    with torch.no_grad():
        output = module(example.to(module.device))
    module.train()
    return parameters, " -> ".join("x".join(map(str, tensor.shape[1:])) for tensor in (example, output))
