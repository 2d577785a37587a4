"""The launcher that runs jobs on this machine, each in a process of its own."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.trainyard.composer import Composer

if TYPE_CHECKING:
    from trainyard.sweeps.execution.processes import Slots
    from trainyard.sweeps.execution.task import Task
    from trainyard.sweeps.watch import Watch


@dataclass
class LocalLauncherConf:
    """What `hydra.launcher` holds."""

    _target_: str = "hydra_plugins.trainyard.launcher.LocalLauncher"
    slots: Any = 1  # its range is checked with the sweep's own keys


ConfigStore.instance().store(group="hydra/launcher", name="local", node=LocalLauncherConf, provider="trainyard")


class LocalLauncher(Launcher):
    """Runs jobs on this machine, `slots` of them side by side; one that fails leaves the others alone.

    Args:
        slots: jobs at a time; each has its share of the cores and of the GPUs.
    """

    takes_all: ClassVar[bool] = False
    """Whether it must know all jobs before it begins."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.watch: Watch | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every launcher, and start the server that will fork jobs."""
        from trainyard.sweeps.execution.server import job_context

        self.config = config
        self.composer = Composer(hydra_context.config_loader, config)
        self.task = f"{task_function.__module__}:{task_function.__qualname__}"
        self.processes = job_context(config.sweep.pruner != "none")

    def launch(self, job_overrides: Iterable[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and return how they ended, in the same order.

        The lists may come from a generator: it is asked for the next one when a slot is free.
        """
        from trainyard.sweeps.execution.processes import Slots
        from trainyard.sweeps.execution.task import Task

        returns: list[JobReturn] = []

        def asked() -> Iterator[Sequence[str]]:
            for overrides in job_overrides:
                returns.append(JobReturn(overrides=list(overrides)))
                yield overrides

        tasks = (Task([number], [config]) for number, config in self.composed(asked(), initial_job_idx))
        self.run(Slots(self.slots, self.task, self.processes), tasks, returns, initial_job_idx)
        return returns

    def run(self, slots: "Slots", tasks: Iterable["Task"], returns: Sequence[JobReturn], first: int) -> None:
        """Run tasks, and note in `returns` how their jobs ended, the first of which has the number `first`."""
        if self.watch:
            slots.begin, slots.look = self.watch.begin, self.watch.look
        with closing(slots.run(tasks)) as endings:
            for ended in endings:
                done = returns[ended.number - first]
                done.status = JobStatus.FAILED if ended.error else JobStatus.COMPLETED
                done.return_value = RuntimeError(ended.error) if ended.error else None
                if self.watch and self.watch.end(ended):
                    slots.stop()

    def impossible(self, job_overrides: Sequence[Sequence[str]]) -> dict[int, str]:
        """Return why a job cannot work, by its place, for all that cannot."""
        from trainyard.complaints import complaint
        from trainyard.sweeps.execution.checks import impossible

        found = {}
        for place, overrides in enumerate(job_overrides):  # while a server imports what jobs need
            try:
                self.compose(overrides)
            except HydraException as error:
                found[place] = complaint(error)
        return found or impossible(self.composed(job_overrides, 0), self.processes)

    def composed(self, job_overrides: Iterable[Sequence[str]], first: int) -> Iterator[tuple[int, DictConfig]]:
        """Yield the number and the config of each job."""
        for number, overrides in enumerate(job_overrides, start=first):
            config = self.compose(overrides)
            with open_dict(config):
                config.hydra.job.id = str(number)
                config.hydra.job.num = number
            yield number, config

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config that overrides make."""
        return self.composer.compose(overrides)
