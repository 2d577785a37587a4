"""The precision behind `trainer.precision=auto`: times steps in float32 and bfloat16, and chooses the faster one."""

import logging
import time
import warnings
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig

from trainyard.config.objective import AUTO
from trainyard.run.run_builder import QUIET, build_model_to_train

log = logging.getLogger(__name__)

FULL, MIXED = "32-true", "bf16-mixed"
MIN_GAIN = 1.1  # times as fast, for which the lower precision of bfloat16 is accepted
PAIRS = 8  # of a step in each precision; the first pair is not counted
SECONDS = 3.0  # after which no further pair follows the second


def choose_precision(cfg: DictConfig, data: L.LightningDataModule) -> None:
    """Replace `trainer.precision=auto` in the config of a run, before its model is built."""
    if cfg.trainer.get("precision") != AUTO:
        return
    cfg.trainer.precision = FULL
    if cfg.trainer.get("devices", 1) != 1 or cfg.trainer.get("num_nodes", 1) != 1:
        log.info("precision  %s: auto times steps only for a single device", FULL)
        return
    try:
        gain = bfloat16_gain(cfg, data)
    except Exception as error:  # of the user's step; the run itself will raise and explain it
        log.info("precision  %s: steps could not be timed (%s)", FULL, str(error).partition("\n")[0])
        return
    if gain >= MIN_GAIN:
        cfg.trainer.precision = MIXED
    log.info("precision  %s: with bfloat16, a step is %.2f times as fast", cfg.trainer.precision, gain)


@isolate_rng()
def bfloat16_gain(cfg: DictConfig, data: L.LightningDataModule) -> float:
    """Return the time of a training step in float32, relative to that under autocast to bfloat16.

    A second, uncompiled model of the same config is trained for a few steps. Their precision alternates, so that other
    programs slow down both.
    """
    timer = StepTimer()
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        uncompiled = cfg.copy()
        uncompiled.compile = False
        model = build_model_to_train(uncompiled, data)
        limits: dict[str, Any] = {"max_steps": 2 * PAIRS, "limit_val_batches": 0, "num_sanity_val_steps": 0}
        place = {"accelerator": cfg.trainer.get("accelerator", AUTO), "devices": 1, "default_root_dir": folder}
        L.Trainer(**limits, **place, **QUIET, callbacks=[timer]).fit(model, data)
    return timer.gain


class StepTimer(L.Callback):
    """Alternates between both precisions from batch to batch, and times the steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.started = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the precision of this step."""
        device = trainer.strategy.root_device.type
        in_bfloat16 = len(self.seconds) % 2 == 1
        trainer.strategy.precision_plugin = MixedPrecision("bf16-mixed", device) if in_bfloat16 else Precision()
        synchronize(device)
        self.step_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the time, and stop after a pair if that was long enough."""
        synchronize(trainer.strategy.root_device.type)
        now = time.perf_counter()
        self.seconds.append(now - self.step_started)
        count = len(self.seconds)
        trainer.should_stop = count % 2 == 0 and count >= 4 and now - self.started > SECONDS

    @property
    def gain(self) -> float:
        """The shortest step in float32, relative to the shortest one in bfloat16."""
        return min(self.seconds[2::2]) / min(self.seconds[3::2])


def synchronize(device: str) -> None:
    """Wait until an accelerator has finished its work."""
    if device != "cpu":
        torch.accelerator.synchronize()
