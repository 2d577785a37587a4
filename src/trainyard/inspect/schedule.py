"""`show schedule` and `show finetune`: the learning rate of each parameter group over a run, before training."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import lightning as L
from matplotlib.figure import Figure
from omegaconf import DictConfig

from trainyard.config.accepted import has_backbone
from trainyard.inspect.untrained import (
    build_trainer,
    check_optimizes,
    logging_disabled,
    untrained_data,
    untrained_model,
)
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.figures import figure_style, save_figure
from trainyard.optim.schedules import set_intervals
from trainyard.run.compatibility import check_config
from trainyard.run.run_length import LENGTH, has_known_length
from trainyard.terminal.formats import BLOCKS
from trainyard.terminal.tables import table

PLATEAU = "the rate drops when a metric stops improving, which is not known before the run"


@dataclass(frozen=True)
class Rates:
    """The learning rates of a whole run."""

    groups: dict[str, list[float]]  # rate of each parameter group at each step; 0 while it is frozen
    sizes: dict[str, int]  # number of parameters of each group
    epoch_steps: int  # optimizer steps in an epoch
    depends_on_validation: bool  # rates after the start are unknown before the run

    @property
    def steps(self) -> int:
        """Number of optimizer steps of the run."""
        return len(next(iter(self.groups.values())))

    @property
    def highest(self) -> float:
        """The highest rate of all groups."""
        return max(max(rates) for rates in self.groups.values())

    def epoch(self, step: int) -> int:
        """Return the epoch of a step, counted from 1."""
        return step // self.epoch_steps + 1

    def sparkline(self, name: str, width: int) -> str:
        """Return a character for each epoch, at most `width`: the height is the rate in its middle, `·` is frozen."""
        rates = self.groups[name]
        parts = min(width, math.ceil(self.steps / self.epoch_steps))
        middles = [rates[int((part + 0.5) * self.steps / parts)] for part in range(parts)]
        return "".join("·" if rate == 0 else BLOCKS[min(7, int(8 * rate / self.highest))] for rate in middles)

    def by_layers(self) -> dict[str, list[float]]:
        """Return the distinct courses of the rate, each by the layers that share it."""
        groups_by_rates: dict[tuple[float, ...], list[str]] = {}
        for name, rates in self.groups.items():
            groups_by_rates.setdefault(tuple(rates), []).append(name)
        return {layer_names(names): list(rates) for rates, names in groups_by_rates.items()}


def layer_names(groups: Iterable[str]) -> str:
    """Return the layers of parameter groups, whose names end with the kind of their parameters."""
    names = [name.removesuffix("biases_and_norms").removesuffix("weights").removesuffix("_") for name in groups]
    return join_limited(dict.fromkeys(name or "all parameters" for name in names), 3)


def show(cfg: DictConfig) -> None:
    """Print first, highest and last rate of each parameter group, and draw the rates."""
    rates = simulate_rates(cfg)
    rows = []
    for name, values in rates.groups.items():
        first = next((step for step, rate in enumerate(values) if rate), 0)
        steps = (first, values.index(max(values)), rates.steps - 1)
        cells = [f"{values[step]:.2e} {f'({rates.epoch(step)})':>5}" for step in steps]
        rows.append((name, f"{rates.sizes[name]:,}", *cells, rates.sparkline(name, 40)))
    right = ("parameters", "first (epoch)", "peak (epoch)", "last (epoch)")
    print(table(["group", *right, f"by epoch, {BLOCKS[-1]} is {rates.highest:.3g}"], rows, right))
    print(f"steps      {rates.epoch_steps} per epoch, {rates.steps} in total")
    print(f"{PLATEAU}\n" if rates.depends_on_validation else "")
    draw_rates(rates, "show/schedule.png", "linear")


def show_finetune(cfg: DictConfig) -> None:
    """Print which layers of a backbone are trained in which epoch at which rate, and draw the rates."""
    check_config(cfg)
    if not has_backbone(cfg):
        raise ConfigError(f"model={cfg.run.choices.model}: it has no backbone\n  accepted: model=transfer")
    rates = simulate_rates(cfg)
    rows = [(name, f"{rates.sizes[name]:,}", rates.sparkline(name, 100)) for name in rates.groups]
    heading = f"rate by epoch, {BLOCKS[-1]} is {rates.highest:.2g}, · is frozen"
    print(table(["group", "parameters", heading], rows, ["parameters"]), end="\n\n")
    layers, lines = rates.by_layers(), []
    for epoch in range(1, rates.epoch(rates.steps - 1) + 1):
        last = min(epoch * rates.epoch_steps, rates.steps) - 1
        lines.append([epoch, *(f"{values[last]:.2e}" if values[last] else "frozen" for values in layers.values())])
    print(table(["epoch", *layers], lines, ["epoch", *layers]), end="\n\n")
    draw_rates(rates, "show/finetune.png", "log")


@figure_style()
def draw_rates(rates: Rates, name: str, scale: str) -> None:
    """Draw the learning rates over the epochs on a `linear` or `log` scale."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for layers, values in rates.by_layers().items():
        epochs = [step / rates.epoch_steps for step in range(len(values))]
        axis.plot(epochs, [rate or math.nan for rate in values], label=layers)
    axis.set(xlabel="epoch", ylabel="learning rate", yscale=scale)
    if scale == "linear":
        axis.set_ylim(bottom=0)
    if rates.depends_on_validation:
        axis.set_title(PLATEAU, fontsize=10)
    axis.legend()
    axis.grid()
    save_figure(figure, name)


def simulate_rates(cfg: DictConfig) -> Rates:
    """Return the learning rates of a composed run by stepping its optimizer and schedule; no weights are downloaded."""
    trainer = prepare_trainer(cfg)
    if not has_known_length(cfg):
        problem = "the number of steps is not known in advance"
        raise config_error("trainer.max_epochs", cfg.trainer.max_epochs, problem, LENGTH)
    [optimizer], schedules = trainer.optimizers, trainer.lr_scheduler_configs
    set_intervals(schedules)
    names = [str(group.get("name", number)) for number, group in enumerate(optimizer.param_groups)]
    groups: dict[str, list[float]] = {name: [] for name in names}
    steps = int(trainer.estimated_stepping_batches)  # Lightning then knows the number of batches
    epoch_steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    for step in range(steps):
        for name, group in zip(names, optimizer.param_groups, strict=True):
            frozen = step < group.get("timing", {}).get("start_step", 0)  # torch's own schedules do not freeze it
            groups[name].append(0.0 if frozen else group["lr"])
        optimizer.step()
        for schedule in schedules:
            interval = schedule.frequency * (1 if schedule.interval == "step" else epoch_steps)
            if not schedule.reduce_on_plateau and (step + 1) % interval == 0:
                schedule.scheduler.step()  # type: ignore[call-arg]  # the type includes ReduceLROnPlateau
    sizes = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    depends_on_validation = any(schedule.reduce_on_plateau for schedule in schedules)
    return Rates(groups, dict(zip(names, sizes, strict=True)), epoch_steps, depends_on_validation)


def prepare_trainer(cfg: DictConfig) -> L.Trainer:
    """Return a Trainer with the optimizer and the schedules of a composed run, as at its start."""
    data = untrained_data(cfg)
    model = untrained_model(cfg, data)
    check_optimizes(cfg, model)
    model.trainer = trainer = build_trainer(cfg)
    trainer.strategy.connect(model)
    # Counts the steps with all limits. `fit`, the only public way, would start processes.
    trainer._data_connector.attach_data(model, datamodule=data)  # tested by tests/inspect/test_schedule.py
    with logging_disabled():
        data.prepare_data()
        data.setup("fit")
        model.setup("fit")
        model.configure_model()
    trainer.strategy.setup_optimizers(trainer)
    return trainer
