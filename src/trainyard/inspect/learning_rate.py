"""`find lr`: a learning-rate range test (Smith 2017, arXiv:1506.01186) and the rate that it suggests."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trainyard.config.accepted import has_backbone
from trainyard.inspect.untrained import (
    check_optimizes,
    feature_cache,
    learning_rate_key,
    trial_trainer,
    untrained_data,
    untrained_model,
)
from trainyard.io.figures import figure_style, save_figure

STEPS = 100
LOWEST, HIGHEST = 1e-6, 10.0
DIVERGED = 4.0  # times the lowest average loss, at which the test ends
WINDOW = 3.0  # steps: standard deviation of the Gaussian that smooths the loss
MIN_DROP = 0.1  # of the loss at the start; a smaller drop may be noise
MIN_STEPS = 20


@dataclass(frozen=True)
class LossCurve:
    """The loss at each step, over learning rates that rise by a constant factor."""

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def smooth(self) -> Tensor:
        """The losses smoothed by a Gaussian, which does not lag behind as a running mean does."""
        losses = torch.tensor(self.losses, dtype=torch.float64)
        steps = torch.arange(len(losses), dtype=torch.float64)
        weights = torch.exp(-(((steps[:, None] - steps) / WINDOW) ** 2) / 2)
        return weights @ losses / weights.sum(1)

    @property
    def suggestion(self) -> int | None:
        """The step at which the loss falls fastest over the logarithm of the rate; `None` if there is no clear drop.

        Lightning suggests the steepest slope over the rate itself, which prefers random drops at tiny rates.
        """
        if len(self.losses) < MIN_STEPS:
            return None
        smooth = self.smooth
        lowest, start = int(smooth.argmin()), float(smooth[: MIN_STEPS // 2].mean())
        if lowest < 2 or float(smooth[lowest]) > (1 - MIN_DROP) * start:
            return None
        return int(torch.gradient(smooth[: lowest + 1])[0].argmin())


class RangeTest(L.Callback):
    """Raises the learning rate exponentially over the steps, instead of the schedule, and records the loss.

    The ratios between parameter groups do not change. The fit ends when the loss diverges.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.batches: list[float] = []  # losses of the batches of an accumulated step
        self.average, self.lowest = 0.0, math.inf

    def on_train_start(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        """Remove the schedule."""
        trainer.strategy.lr_scheduler_configs = []

    def on_train_batch_start(self, trainer: L.Trainer, model: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the rate of this step."""
        self.rate = LOWEST * (HIGHEST / LOWEST) ** ((trainer.global_step + 1) / self.steps)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.rate * group.get("lr_factor", 1.0)

    def on_train_batch_end(
        self, trainer: L.Trainer, model: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record rate and loss of a completed step."""
        self.batches.append(trainer.accumulate_grad_batches * outputs["loss"].item())
        if trainer.global_step == len(self.losses):
            return
        loss = statistics.fmean(self.batches)
        self.batches.clear()
        self.rates.append(self.rate)
        self.losses.append(loss)
        self.average = 0.98 * self.average + 0.02 * loss
        average = self.average / (1 - 0.98 ** len(self.losses))
        self.lowest = min(self.lowest, average)
        trainer.should_stop = not math.isfinite(loss) or average > DIVERGED * self.lowest

    @property
    def curve(self) -> LossCurve:
        """The steps with a finite loss."""
        end = len(self.losses) if math.isfinite(sum(self.losses)) else len(self.losses) - 1
        return LossCurve(self.rates[:end], self.losses[:end])


def find(cfg: DictConfig, steps: int | None = None) -> None:
    """Print the rate at which the loss falls fastest and its override, and draw the loss over the rate."""
    curve = range_test(cfg, steps or STEPS)
    print(describe_curve(curve, cfg))
    draw_curve(curve)


def range_test(cfg: DictConfig, steps: int) -> LossCurve:
    """Train for some steps with a rising rate, and return the steps with a finite loss."""
    data = untrained_data(cfg)
    model = untrained_model(cfg, data, download=True)
    check_optimizes(cfg, model)
    test = RangeTest(steps)
    changes = {"max_epochs": -1, "max_steps": steps, "limit_val_batches": 0, "num_sanity_val_steps": 0}
    with trial_trainer(cfg, **changes, callbacks=[*feature_cache(cfg), test]) as trainer:
        trainer.fit(model, data)
    return test.curve


def describe_curve(curve: LossCurve, cfg: DictConfig) -> str:
    """Return the range of the rates and the suggestion."""
    lines = [f"tried      {len(curve.rates)} steps, rates from {curve.rates[0]:.0e} to {curve.rates[-1]:.2g}"]
    smooth, best = curve.smooth, curve.suggestion
    if best is None:
        lines.append(f"suggests   nothing clear: the loss stays near {smooth[0]:.3g} at any rate")
        lines.append(f"           more steps may show a drop: --steps {4 * STEPS}")
        return "\n".join(lines)
    lowest, rate = int(smooth.argmin()), f"{curve.rates[best]:.2g}"
    drop = f"from {smooth[0]:.3g} to {smooth[lowest]:.3g} at {curve.rates[lowest]:.2g}"
    lines.append(f"suggests   {rate}, where the loss falls fastest on its way {drop}")
    if has_backbone(cfg) and any(cfg.finetune.unfreeze):
        lines.append("           for the layers that are trained from the start; the others were frozen")
    if key := learning_rate_key(cfg):
        lines.append(f"override   {'' if OmegaConf.select(cfg, key) is not None else '+'}{key}={rate}")
    else:
        lines.append("override   none: the model sets the rate itself")
    return "\n".join(lines)


@figure_style()
def draw_curve(curve: LossCurve) -> None:
    """Draw the loss over the rate, and mark the suggestion."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    smooth, best = curve.smooth, curve.suggestion
    axis.plot(curve.rates, curve.losses, ".", color="tab:gray", alpha=0.6, label="each step")
    axis.plot(curve.rates, smooth.tolist(), color="tab:blue", label="smoothed")
    if best is not None:
        label = f"steepest at {curve.rates[best]:.2g}"
        axis.plot(curve.rates[best], float(smooth[best]), "o", color="tab:red", markersize=9, label=label)
        axis.axvline(curve.rates[best], color="tab:red", alpha=0.3)
    low, start = float(smooth.min()), float(smooth[0])
    axis.set(xlabel="learning rate", ylabel="training loss", xscale="log")
    axis.set_ylim(max(0.0, low - 0.3 * start), 1.5 * start)  # leaves out the values where the loss diverges
    axis.legend()
    axis.grid()
    save_figure(figure, "find/lr.png")
