"""Which jobs of a sweep cost the same, so that one of them has to be tried."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.errors import reject
from trainyard.run_length import LENGTH, epoch_limit, has_known_length
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.cost import Cost
from trainyard.sweeps.plan.networks import Network
from trainyard.sweeps.search_space import REPLICATES

NO_COST = ("hydra", "run", "sweep", "objective")  # of the config's own keys
# Groups whose fractions and rates change what is computed, but for 0, which leaves it out, not how long that takes.
RATES = ("optimizer", "scheduler", "model", "augment", "callbacks", "ema_decay")


@dataclass
class Kind:
    """Jobs that cost the same, but for their epochs.

    Attributes:
        jobs: all of them.
        epochs: of each, at most.
        bound: whether they may take less than a trial says: they stop when nothing improves, or their layers join late.
        network: that they train.
        cost: of one, or why its trial failed.
    """

    jobs: list[Job] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    bound: bool = False
    network: Network | None = None
    cost: Cost | str = "not tried"

    @property
    def longest(self) -> Job:
        """The job of the most epochs."""
        return self.jobs[self.epochs.index(max(self.epochs))]

    def common(self, axes: Sequence[str]) -> str:
        """Return the values of the axes that all of its jobs have."""
        first, *others = (job.overrides for job in self.jobs)
        shared = [override for override in first if all(override in other for other in others)]
        return " ".join(override for override in shared if override.partition("=")[0] in axes) or "all"


def kinds_of(jobs: Sequence[Job], configs: Iterable[DictConfig]) -> list[Kind]:
    """Return the kinds of jobs, in the order of their first.

    Args:
        jobs: in order.
        configs: composed, of each job.
    """
    kinds: dict[str, Kind] = {}
    for job, config in zip(jobs, configs, strict=True):
        kind = kinds.setdefault(cost_text(config), Kind())
        kind.jobs.append(job)
        kind.epochs.append(epochs_of(config))
        kind.bound |= may_take_less(config)
    return list(kinds.values())


def epochs_of(config: DictConfig) -> float:
    """Return the number of epochs of a job, at most; infinite if only steps limit it.

    Raises:
        ConfigError: neither limits it.
    """
    if not has_known_length(config):
        raise reject("sweep.plan", True, "the number of epochs is not known in advance", f"with {LENGTH}")
    return epoch_limit(config) if epoch_limit(config) > 0 else math.inf


def may_take_less(config: DictConfig) -> bool:
    """Whether a job stops when nothing improves, or trains fewer layers at first than at its end."""
    parts = [part for part in (config.get("callbacks") or {}).values() if part is not None]
    return any(config.finetune.thaw) or any(str(part.get("_target_")).endswith("EarlyStopping") for part in parts)


def cost_text(config: DictConfig) -> str:
    """Return the part of a config that says what an epoch costs."""
    groups: Any = OmegaConf.to_container(config, resolve=False)
    for name in NO_COST:
        groups.pop(name, None)
    groups["trainer"].pop("max_epochs", None)
    for key in REPLICATES:
        group, _, name = key.rpartition(".")
        (groups[group] if group else groups).pop(name, None)
    return repr({name: without_rates(group) if name in RATES else group for name, group in groups.items()})


def without_rates(node: Any) -> Any:
    """Return a part of a config in which each fraction only says whether it is 0."""
    if isinstance(node, dict):
        return {name: without_rates(value) for name, value in node.items()}
    if isinstance(node, list):
        return [without_rates(value) for value in node]
    return bool(node) if isinstance(node, float) else node
