"""The learning rate of each parameter group at each step of a run that is not trained."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import lightning as L
from omegaconf import DictConfig

from trainyard.errors import listing, reject
from trainyard.models.classifier import Classifier
from trainyard.run_length import LENGTH, has_known_length
from trainyard.terminal.sparkline import BLOCKS
from trainyard.untrained import data_of, model_of, trainer_of

KINDS = ("weights", "biases_and_norms")  # of parameter groups, behind the name of their layers


@dataclass(frozen=True)
class Rates:
    """The rates of a whole run.

    Attributes:
        groups: the rate of each parameter group at each step, 0 where it is frozen.
        sizes: number of parameters of each group.
        epoch_steps: optimizer steps in an epoch.
        waits: whether a rate drops when validation stops improving, which nobody can know before.
    """

    groups: dict[str, list[float]]
    sizes: dict[str, int]
    epoch_steps: int
    waits: bool

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return len(next(iter(self.groups.values())))

    @property
    def highest(self) -> float:
        """The highest rate of all."""
        return max(max(course) for course in self.groups.values())

    def epoch(self, step: int) -> int:
        """Return the epoch of a step, counted from 1."""
        return step // self.epoch_steps + 1

    def strip(self, name: str, most: int) -> str:
        """Return a character an epoch, or `most` in all, as high as the rate in its middle; a point where it is 0."""
        course = self.groups[name]
        parts = min(most, math.ceil(self.steps / self.epoch_steps))
        middles = [course[int((part + 0.5) * self.steps / parts)] for part in range(parts)]
        return "".join("·" if rate == 0 else BLOCKS[min(7, int(8 * rate / self.highest))] for rate in middles)

    def courses(self) -> dict[str, list[float]]:
        """Return the courses that differ, each by the layers that share it."""
        shared: dict[tuple[float, ...], list[str]] = {}
        for name, course in self.groups.items():
            shared.setdefault(tuple(course), []).append(name)
        return {layers(names): list(course) for course, names in shared.items()}


def layers(groups: Iterable[str]) -> str:
    """Return the layers of parameter groups, whose weights and other parameters are groups of their own."""
    names = list(groups)
    for kind in KINDS:
        names = [name.removesuffix(kind).removesuffix("_") for name in names]
    return listing(dict.fromkeys(name or "all parameters" for name in names), 3)


def rates_by_step(cfg: DictConfig) -> Rates:
    """Return the rates of a composed run; no weights are needed.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    model = model_of(cfg, data)
    trainer = trainer_of(cfg)
    attach(trainer, model, data)
    built = model.configure_optimizers()
    if not has_known_length(cfg):
        raise reject(
            "trainer.max_epochs", cfg.trainer.max_epochs, "the number of steps is not known in advance", LENGTH
        )
    schedule, optimizer = built.get("lr_scheduler"), built["optimizer"]
    names = [str(group.get("name", number)) for number, group in enumerate(optimizer.param_groups)]
    groups: dict[str, list[float]] = {name: [] for name in names}
    by_step = schedule is not None and schedule["interval"] == "step"
    for step in range(int(trainer.estimated_stepping_batches)):
        for name, group in zip(names, optimizer.param_groups, strict=True):
            joined = step >= group.get("timing", {}).get("joins", 0)  # torch's own schedules know nothing of it
            groups[name].append(group["lr"] if joined else 0.0)
        optimizer.step()
        if by_step:
            schedule["scheduler"].step()
    sizes = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    epoch_steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return Rates(groups, dict(zip(names, sizes, strict=True)), epoch_steps, schedule is not None and not by_step)


def attach(trainer: L.Trainer, model: Classifier, data: L.LightningDataModule) -> None:
    """Let a Trainer know what it would fit, so that it counts the steps as it does in a run, limits and all."""
    model.trainer = trainer
    trainer.strategy.connect(model)
    trainer._data_connector.attach_data(model, datamodule=data)
