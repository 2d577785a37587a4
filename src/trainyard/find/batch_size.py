"""`find batch_size`: the smallest batch size that trains about as fast as any that fits into memory."""

import copy
import logging
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
import psutil
import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from omegaconf import DictConfig

from trainyard.data.loading.datamodule import DataModule
from trainyard.find.short_fit import feature_cache, short_fit
from trainyard.memory import peak
from trainyard.models.classifier import Classifier
from trainyard.untrained import data_of, model_of

SMALLEST = 8
FAST = 0.9  # of the highest rate
FEW_STEPS = 10  # of an epoch: fewer are too few to learn from
SECONDS = 60.0  # after which no further size is tried
STEPS = 9  # of a trial; the first is not timed
GIB = 2**30


def find(cfg: DictConfig) -> None:
    """Print how fast each batch size trains, the suggested one, and the override for it.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    model = model_of(cfg, data, download=True)
    examples = len(data.splits["train"])
    rates: dict[int, float | None] = {}
    began, before = time.monotonic(), peak()
    print(f"{'batch size':>10} {'examples/s':>11} {'steps/epoch':>12}")
    logging.disable(logging.INFO)  # what a run logs, each trial would log again
    try:
        for size in sizes(examples):
            rates[size] = rate = measure(cfg, data, model, size)
            text = "does not fit into memory" if rate is None else f"{rate:>11,.0f} {math.ceil(examples / size):>12,}"
            print(f"{size:>10} {text}", flush=True)
            if rate is None or time.monotonic() - began > SECONDS:
                break
            if (grown := 2 * (peak() - before)) > (free := psutil.virtual_memory().available):
                needed = f"needs about {grown / GIB:.1f} GiB more, {free / GIB:.1f} GiB are free"
                print(f"{2 * size:>10} not tried: {needed}")
                break
            before = peak()
    finally:
        logging.disable(logging.NOTSET)
    best = suggestion(rates, examples)
    print(f"{'suggests':<10} " + ("nothing: not even the smallest fits" if best is None else f"data.batch_size={best}"))
    if best is not None:
        reason = f"the smallest within {1 - FAST:.0%} of the fastest that make {FEW_STEPS} steps or more per epoch"
        print(f"{'':<10} {reason}\n{'then':<10} find lr data.batch_size={best}: another size needs another rate")


def sizes(examples: int) -> Iterator[int]:
    """Yield the powers of two below the number of training examples, and that number."""
    size = SMALLEST
    while size < examples:
        yield size
        size *= 2
    yield examples


def measure(cfg: DictConfig, data: DataModule, model: Classifier, size: int) -> float | None:
    """Return the examples per second of a few steps; `None` if they, or a batch to validate, do not fit into memory."""
    sized = copy.copy(data)  # the examples are shared
    sized.batch_size = size
    clock = Clock()
    changes: dict[str, Any] = {"max_epochs": STEPS, "limit_val_batches": 1, "check_val_every_n_epoch": STEPS + 1}
    try:
        with short_fit(cfg, **changes, callbacks=[*feature_cache(cfg), clock]) as trainer:
            trainer.fit(model, sized)
            trainer.validate(model, sized, verbose=False)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        garbage_collection_cuda()
        return None
    return statistics.median(clock.rates)


def suggestion(rates: Mapping[int, float | None], examples: int) -> int | None:
    """Return the smallest size that is nearly as fast as any with enough steps; `None` if none fits."""
    fitting = {size: rate for size, rate in rates.items() if rate}
    enough = {size: rate for size, rate in fitting.items() if math.ceil(examples / size) >= FEW_STEPS}
    chosen = enough or dict(list(fitting.items())[:1])
    return next((size for size, rate in chosen.items() if rate >= FAST * max(chosen.values())), None)


class Clock(L.Callback):
    """Times the steps after the first, and ends the fit after some."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.last: float | None = None

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the examples per second."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        before, self.last = self.last, time.perf_counter()
        if before is not None:
            self.rates.append(len(batch[1]) / (self.last - before))
        trainer.should_stop = len(self.rates) >= STEPS - 1
