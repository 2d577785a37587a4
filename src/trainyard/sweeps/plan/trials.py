"""Trials of jobs, side by side as the jobs themselves will be."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from trainyard.sweeps.execution.processes import Slots
from trainyard.sweeps.plan.cost import Cost

Composed = Callable[[Sequence[Sequence[str]], int], Iterable[tuple[int, DictConfig]]]
STOPWATCH = "+callbacks.stopwatch._target_=trainyard.sweeps.plan.stopwatch.Stopwatch"
LOCAL = ("lightning.pytorch.loggers.TensorBoardLogger", "lightning.pytorch.loggers.CSVLogger")


def try_out(kinds: Sequence[tuple[Sequence[str], DictConfig]], slots: Slots, composed: Composed) -> list[Cost | str]:
    """Return what a job of each kind takes, or why its trial failed; nothing of the trials stays.

    Each runs as often as there are slots, at the same time: jobs share the memory's bandwidth.

    Args:
        kinds: overrides and config of a job of each kind.
        slots: where they run.
        composed: gives number and config for lists of overrides.
    """
    with TemporaryDirectory(prefix="trainyard-plan-") as place:
        copies = [trial_of(*kind) for kind in kinds for _ in range(slots.slots)]
        words = [[*trial, f"hydra.sweep.dir={place}", f"hydra.sweep.subdir={n}"] for n, trial in enumerate(copies)]
        began: dict[int, float] = {}
        slots.begin = lambda number: began.update({number: time.perf_counter()})
        found: dict[int, Cost | str] = {}
        for ended in slots.run(list(composed(words, 0))):
            seconds = time.perf_counter() - began[ended.number]
            found[ended.number] = ended.error or Cost.of(Path(place) / str(ended.number), seconds)
    each = [[found[kind * slots.slots + copy] for copy in range(slots.slots)] for kind in range(len(kinds))]
    return [summary(results) for results in each]


def trial_of(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a trial: it is timed, and tells no server of itself."""
    loggers = (config.get("logger") or {}).items()
    remote = [name for name, logger in loggers if logger is not None and logger.get("_target_") not in LOCAL]
    return [*overrides, STOPWATCH, *(f"logger.{name}=null" for name in remote)]


def summary(results: Sequence[Cost | str]) -> Cost | str:
    """Return what the trials of a kind say together."""
    errors = [result for result in results if isinstance(result, str)]
    return errors[0] if errors else Cost.between(result for result in results if isinstance(result, Cost))
