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

FILE = "cost.json"
EPOCHS, STEPS = 2, 32  # of a shortened run, at most; validation and test are not shortened
LIMIT = 4.0  # seconds of training


@dataclass
class Cost:
    """Time in seconds and disk space in bytes of a job."""

    network: tuple[str, str]  # number of parameters and shapes, as text
    startup: float  # outside of the epochs, with the test
    epoch: float
    max_epochs: float  # limit by `max_steps`
    files: float  # after the first epoch, without checkpoints
    growth: float  # in each further epoch
    checkpoints: float = 0.0

    def time(self, epochs: float) -> float:
        """Return the seconds of a job of so many epochs."""
        return self.startup + min(epochs, self.max_epochs) * self.epoch

    def disk(self, epochs: float) -> float:
        """Return the bytes that a job of so many epochs writes, without its checkpoints."""
        return self.files + (min(epochs, self.max_epochs) - 1) * self.growth

    @classmethod
    def read(cls, folder: Path, seconds: float) -> "Cost":
        """Return the cost that `MeasureCost` has written into the directory of a run, whose process took `seconds`."""
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        content["startup"] = max(0.0, seconds - content["startup"])
        return cls(**{**content, "checkpoints": bytes_on_disk(folder / "checkpoints")})


class MeasureCost(L.Callback):
    """Shortens a run, and writes its cost into the run directory.

    The config stays that of the job, since schedules and fine-tuning depend on it: the limits are set in the Trainer.
    Until `Cost.read` replaces it, `startup` contains the seconds of the epochs.
    """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Set the limits before Lightning counts the batches."""
        if stage == "fit":
            self.starts: list[float] = []  # of the epochs
            self.sizes: list[int] = []  # of the run directory after each epoch, in bytes
            self.limit = limit = trainer.limit_train_batches
            trainer.limit_train_batches = min(limit, STEPS) if isinstance(limit, int) else STEPS
            trainer.val_check_interval, trainer.check_val_every_n_epoch = 1.0, 1
            trainer.fit_loop.min_epochs, trainer.fit_loop.epoch_loop.min_steps = 0, None

    def now(self, trainer: L.Trainer) -> float:
        """Return the time in seconds, after the GPU has finished."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        return time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an epoch, after the checkpoints of the previous one were saved."""
        if self.starts:
            self.sizes.append(run_size(trainer))
        self.starts.append(self.now(trainer))

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Time the steps after the first, which starts workers and compiles; end a slow run."""
        self.last_step, self.steps = self.now(trainer), batch_idx
        if batch_idx == 0:
            self.first_step = self.last_step
        is_late = self.last_step - self.starts[0] > LIMIT
        trainer.should_stop |= bool(trainer.strategy.reduce_boolean_decision(is_late, all=False))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End the run after enough epochs."""
        trainer.should_stop |= trainer.current_epoch + 1 >= EPOCHS

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the cost, as estimated by the last epoch."""
        end = self.now(trainer)
        self.sizes.append(run_size(trainer))
        total = len(trainer.train_dataloader)  # type: ignore[arg-type]
        total = min(total, self.limit) if isinstance(self.limit, int) else int(total * self.limit)
        seconds = self.last_step - self.first_step
        step = seconds / max(1, self.steps)
        max_steps = trainer.max_steps * trainer.accumulate_grad_batches
        cost = Cost(
            network=describe_network(pl_module),
            startup=end - self.starts[0],
            epoch=(total - 1) * step + end - self.starts[-1] - seconds,
            max_epochs=max_steps / total if max_steps > 0 else math.inf,
            files=self.sizes[0],
            growth=self.sizes[-1] - self.sizes[0],
        )
        if trainer.is_global_zero:
            write_json(Path(trainer.default_root_dir) / FILE, asdict(cost))


def run_size(trainer: L.Trainer) -> int:
    """Return the size of the run directory without checkpoints, in bytes."""
    if writer := tensorboard_writer(trainer):
        writer.flush()
    return bytes_on_disk(Path(trainer.default_root_dir), without="checkpoints")


def describe_network(module: L.LightningModule) -> tuple[str, str]:
    """Return the number of parameters, and the shapes of input and output without the batch, as text."""
    parameters = f"{sum(parameter.numel() for parameter in module.parameters()):,}"
    example = module.example_input_array
    if not isinstance(example, torch.Tensor):
        return parameters, ""
    with torch.no_grad():
        output = module.eval()(example.to(module.device))
    return parameters, " -> ".join("x".join(map(str, tensor.shape[1:])) for tensor in (example, output))


def bytes_on_disk(folder: Path, without: str = "") -> int:
    """Return the size of all files in a folder, without those of its subfolder `without`."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != without)
    return sum(path.stat().st_size for path in files)
