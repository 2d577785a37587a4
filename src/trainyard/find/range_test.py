"""Lightning's learning-rate range test over a composed run."""

import math
import statistics
from typing import Any

from lightning.pytorch.tuner.tuning import Tuner
from omegaconf import DictConfig
from torch.optim import Optimizer

from trainyard.find.loss_curve import LossCurve
from trainyard.find.short_fit import feature_cache, short_fit
from trainyard.models.classifier import Classifier
from trainyard.untrained import data_of, model_of

LOWEST, HIGHEST = 1e-6, 10.0


def range_test(cfg: DictConfig, steps: int) -> LossCurve:
    """Train so many steps at a rate that rises from one to the next, and return the loss of each.

    The schedule of the run rests; what a group's rate is relative to the optimizer's stays.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    model = model_of(cfg, data, download=True)
    recorder = Recorder(model, cfg.trainer.accumulate_grad_batches)
    batches = steps * cfg.trainer.accumulate_grad_batches
    changes = {"max_epochs": batches, "check_val_every_n_epoch": batches, "callbacks": feature_cache(cfg)}
    with short_fit(cfg, **changes) as trainer:
        Tuner(trainer).lr_find(
            model, datamodule=data, min_lr=LOWEST, max_lr=HIGHEST, num_training=steps, update_attr=False
        )
    return recorder.curve


class Recorder:
    """Notes the rate and the loss of each optimizer step; Lightning keeps but a running mean of the losses.

    The test gives one rate to all parameter groups; a step here takes each group's share of it.

    Args:
        model: that is tested; its hooks are taken.
        batches: of a step, by which Lightning divides the loss of each.
    """

    def __init__(self, model: Classifier, batches: int) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.batches = batches
        self.waiting: list[float] = []
        self.build = model.build_optimizer
        model.build_optimizer = self.optimizer  # type: ignore[method-assign]
        model.on_train_batch_end = self.end_batch  # type: ignore[method-assign]

    def optimizer(self, total_steps: int, epoch_steps: int) -> dict[str, Any]:
        """Build the optimizer of the run, without its schedule."""
        optimizer = self.build(total_steps, epoch_steps)["optimizer"]
        optimizer.register_step_pre_hook(self.begin_step)
        return {"optimizer": optimizer}

    def begin_step(self, optimizer: Optimizer, *_: Any) -> None:
        """Note the rate, which the test sets anew for the next step, and give each group its own."""
        self.rates.append(optimizer.param_groups[0]["lr"])
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)

    def end_batch(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the loss, where the batch is the last of a step."""
        self.waiting.append(self.batches * outputs["loss"].item())
        if len(self.rates) > len(self.losses):
            self.losses.append(statistics.fmean(self.waiting))
            self.waiting.clear()

    @property
    def curve(self) -> LossCurve:
        """The steps up to the first whose loss is no number."""
        end = next((step for step, loss in enumerate(self.losses) if not math.isfinite(loss)), len(self.losses))
        return LossCurve(self.rates[:end], self.losses[:end])
