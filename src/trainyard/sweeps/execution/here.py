"""Jobs on this machine, told of as they go."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from trainyard.sweeps.execution.checks import refuse
from trainyard.sweeps.execution.queue import check_nothing_waits
from trainyard.sweeps.watch import Watch
from trainyard.sweeps.worklist import Worklist

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launcher import LocalLauncher


def refuse_impossible(launcher: "LocalLauncher", worklist: Worklist, *overrides: str) -> None:
    """Raise a ConfigError where jobs cannot work, before the first begins.

    Args:
        launcher: that composes and looks at them, on this machine.
        worklist: of the sweep.
        overrides: of all jobs, for the look alone.
    """
    samples = worklist.samples
    found = launcher.impossible([[*worklist.overrides(job), *overrides] for job in samples])
    refuse(found, samples, worklist.sweep.axes)


def run_here(launcher: "LocalLauncher", worklist: Worklist, fail_fast: bool) -> None:
    """Run jobs, each when a slot is free; those that are drawn by the scores of earlier ones are drawn then."""
    check_nothing_waits(worklist.sweep.stored.folder, worklist.left)
    overrides: Iterable[list[str]] = (worklist.overrides(job) for job in worklist)
    with Watch(worklist, worklist.jobs, worklist.sweep.begin, fail_fast) as launcher.watch:
        launcher.launch(
            list(overrides) if launcher.takes_all and worklist.known_ahead else overrides, initial_job_idx=0
        )
