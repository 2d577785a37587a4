"""`find batch_size`: the smallest of the fast batch sizes (Lightning's finder returns the largest)."""

import copy
import math
import statistics
import time
from collections.abc import Mapping, Sized
from typing import Any

import lightning as L
import psutil
import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from omegaconf import DictConfig, OmegaConf

from trainyard.callbacks.protocols import count_examples
from trainyard.config.accepted import can_set
from trainyard.data.loading.datamodule import DataModule
from trainyard.inspect.untrained import feature_cache, trial_trainer, untrained_data, untrained_model
from trainyard.io.errors import config_error
from trainyard.io.resources import peak_memory
from trainyard.run.run_builder import build_data

SMALLEST = 8
FAST = 0.9  # of the highest speed
MIN_STEPS = 10  # per epoch; fewer are too few to learn from
SECONDS = 60.0  # after which no further size is tried
STEPS = 9  # of a trial; the first is not timed


def find(cfg: DictConfig) -> None:
    """Print how fast each batch size trains, the suggested one, and the override for it."""
    data = untrained_data(cfg)
    model = untrained_model(cfg, data, download=True)
    examples = count_training_examples(cfg, data)
    rates: dict[int, float | None] = {}
    start, before = time.monotonic(), peak_memory()
    print(f"{'batch size':>10}  {'examples/s':>10}  {'steps/epoch':>11}")
    for size in candidate_sizes(examples):
        rates[size] = rate = measure(cfg, data, model, size)
        text = "does not fit into memory" if rate is None else f"{rate:>10,.0f}  {math.ceil(examples / size):>11,}"
        print(f"{size:>10}  {text}", flush=True)
        if rate is None or time.monotonic() - start > SECONDS:
            break
        growth, free = 2 * (peak_memory() - before) / 2**30, psutil.virtual_memory().available / 2**30
        if growth > free:
            print(f"{2 * size:>10}  not tried: needs about {growth:.1f} GiB more, {free:.1f} GiB are free")
            break
        before = peak_memory()
    best = suggestion(rates, examples)
    if best is None:
        print("suggests   nothing: not even the smallest fits")
        return
    print(f"suggests   data.batch_size={best}")
    print(f"           the smallest within {1 - FAST:.0%} of the fastest with at least {MIN_STEPS} steps per epoch")
    print(f"then       find lr data.batch_size={best}: the best learning rate depends on the batch size")


def candidate_sizes(examples: int) -> list[int]:
    """Return the powers of two from 8 that are below the number of training examples, and that number."""
    return [*(2**power for power in range(SMALLEST.bit_length() - 1, (examples - 1).bit_length())), examples]


def count_training_examples(cfg: DictConfig, data: L.LightningDataModule) -> int:
    """Return the number of training examples; raise a ConfigError if it or the batch size cannot be determined."""
    if isinstance(data, DataModule):
        return len(data.splits["train"])
    chosen = cfg.run.choices.data
    if not can_set(cfg, "data", "batch_size"):
        raise config_error("data", chosen, "has no parameter batch_size", "a data module with one")
    data.prepare_data()
    data.setup("fit")
    dataset = getattr(data.train_dataloader(), "dataset", None)
    if not isinstance(dataset, Sized):
        raise config_error("data", chosen, "the number of its training examples is not known", "a sized dataset")
    return len(dataset)


def with_batch_size(cfg: DictConfig, data: L.LightningDataModule, size: int) -> L.LightningDataModule:
    """Return the data with another batch size."""
    if isinstance(data, DataModule):
        sized = copy.copy(data)  # shares the examples
        sized.batch_size = size
        return sized
    return build_data(OmegaConf.merge(cfg, {"data": {"batch_size": size}}))  # type: ignore[arg-type]


def measure(cfg: DictConfig, data: L.LightningDataModule, model: L.LightningModule, size: int) -> float | None:
    """Return the examples per second of a few steps; `None` if training or validation runs out of memory."""
    sized, timer = with_batch_size(cfg, data, size), StepTimer()
    changes = {"max_epochs": STEPS, "limit_val_batches": 1, "check_val_every_n_epoch": STEPS + 1}
    try:
        with trial_trainer(cfg, **changes, callbacks=[*feature_cache(cfg), timer]) as trainer:
            trainer.fit(model, sized)
            trainer.validate(model, sized, verbose=False)
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        garbage_collection_cuda()
        return None
    return statistics.median(timer.rates)


def suggestion(rates: Mapping[int, float | None], examples: int) -> int | None:
    """Return the smallest size that is nearly as fast as the fastest with enough steps; `None` if none fits."""
    fitting = {size: rate for size, rate in rates.items() if rate}
    enough = {size: rate for size, rate in fitting.items() if math.ceil(examples / size) >= MIN_STEPS}
    chosen = enough or dict(list(fitting.items())[:1])
    return next((size for size, rate in chosen.items() if rate >= FAST * max(chosen.values())), None)


class StepTimer(L.Callback):
    """Measures the examples per second of each step after the first, and stops after `STEPS` steps."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.last: float | None = None

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the speed of a step."""
        if trainer.strategy.root_device.type != "cpu":
            torch.accelerator.synchronize()
        before, self.last = self.last, time.perf_counter()
        if before is not None:
            self.rates.append(count_examples(batch) / (self.last - before))
        trainer.should_stop = len(self.rates) >= STEPS - 1
