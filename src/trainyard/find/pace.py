"""How fast a run trains at a batch size, and what memory that takes."""

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from omegaconf import DictConfig

from trainyard.data.module import DataModule
from trainyard.find.short_fit import feature_cache, short_fit
from trainyard.memory import pages
from trainyard.models.classifier import Classifier

WARM, LEAST, ENOUGH = 1, 2, 0.5  # steps before the clock runs, steps that it counts at least, seconds that suffice


@dataclass(frozen=True)
class Pace:
    """Of a batch size.

    Attributes:
        batch_size: of each device.
        rate: examples a second, without validation; None where the memory did not suffice.
        memory: bytes of the process, or on the GPU, at their peak; 0 where the system does not tell.
    """

    batch_size: int
    rate: float | None
    memory: int


def pace_of(cfg: DictConfig, data: DataModule, model: Classifier, batch_size: int) -> Pace:
    """Train some steps with a batch size, and validate a batch, which is larger and has to fit too."""
    sized = copy.copy(data)  # which shares the examples
    sized.batch_size = batch_size
    clock = Clock()
    changes: dict[str, Any] = {"max_epochs": 10**6, "limit_val_batches": 1, "check_val_every_n_epoch": 10**6}
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    try:
        with short_fit(cfg, **changes, callbacks=[*feature_cache(cfg), clock]) as trainer:
            trainer.fit(model, sized)
            trainer.validate(model, sized, verbose=False)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        garbage_collection_cuda()
        return Pace(batch_size, None, 0)
    on_gpu = cuda and trainer.strategy.root_device.type == "cuda"
    return Pace(batch_size, clock.rate, torch.cuda.max_memory_reserved() if on_gpu else pages().get("VmHWM", 0))


class Clock(L.Callback):
    """Times the steps, and ends the fit when it has seen enough."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.steps = 0
        self.began = self.last = 0.0

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the step; the clock starts after the first."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        self.steps, before, self.last = self.steps + 1, self.last, time.perf_counter()
        if self.steps <= WARM:
            self.began = self.last
            return
        self.rates.append(len(batch[1]) / (self.last - before))
        trainer.should_stop = self.steps >= WARM + LEAST and self.last - self.began > ENOUGH

    @property
    def rate(self) -> float:
        """Examples a second, the median of the steps: other work on the machine slows down some of them."""
        return statistics.median(self.rates)
