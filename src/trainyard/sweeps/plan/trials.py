"""Trials of jobs, side by side as the jobs themselves will be."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig

from trainyard.sweeps.execution.processes import Slots
from trainyard.sweeps.execution.task import Task
from trainyard.sweeps.plan.cost import Cost

Composed = Callable[[Sequence[Sequence[str]], int], Iterable[tuple[int, DictConfig]]]
STOPWATCH = "+callbacks.stopwatch._target_=trainyard.sweeps.plan.stopwatch.Stopwatch"
LOCAL = (  # loggers that write into the run's directory and nowhere else
    "lightning.pytorch.loggers.TensorBoardLogger",
    "lightning.pytorch.loggers.CSVLogger",
    "trainyard.event_files.EventFiles",
    "trainyard.metrics_table.MetricsTable",
)


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
        for ended in slots.run([Task([number], [config]) for number, config in composed(words, 0)]):
            seconds = time.perf_counter() - began[ended.number]
            found[ended.number] = ended.error or cost_of(Path(place) / str(ended.number), seconds)
    each = [[found[kind * slots.slots + copy] for copy in range(slots.slots)] for kind in range(len(kinds))]
    return [summary(results) for results in each]


def cost_of(folder: Path, seconds: float) -> Cost | str:
    """Return what a trial says that has ended without an error."""
    try:
        return Cost.of(folder, seconds)
    except FileNotFoundError:
        return "its process left before it was done"


def trial_of(overrides: Sequence[str], config: DictConfig) -> list[str]:
    """Return the overrides of a trial: it is timed, and tells no server of itself.

    Layers that join late learn from the start: they decide on the memory, and most often on the time.
    """
    loggers = (config.get("logger") or {}).items()
    remote = [name for name, logger in loggers if logger is not None and logger.get("_target_") not in LOCAL]
    late = [f"finetune.thaw=[{','.join('0' for _ in thaw)}]"] if any(thaw := config.finetune.thaw) else []
    return [*overrides, STOPWATCH, *late, *(f"logger.{name}=null" for name in remote)]


def summary(results: Sequence[Cost | str]) -> Cost | str:
    """Return what the trials of a kind say together."""
    errors = [result for result in results if isinstance(result, str)]
    return errors[0] if errors else Cost.between(result for result in results if isinstance(result, Cost))
