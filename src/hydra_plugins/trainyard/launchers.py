"""The launchers for jobs on this machine: each in its own process, or stacked."""

import pickle
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

if TYPE_CHECKING:
    from trainyard.sweeps.execution.job_process import JobGroup
    from trainyard.sweeps.execution.processes import ProcessPool
    from trainyard.sweeps.progress import SweepProgress


@dataclass
class LocalLauncherConf:
    """Config of `hydra.launcher`."""

    _target_: str = "hydra_plugins.trainyard.launchers.LocalLauncher"
    slots: Any = 1  # checked with the options of the sweep


@dataclass
class StackedLauncherConf(LocalLauncherConf):
    """Config of `hydra.launcher`."""

    _target_: str = "hydra_plugins.trainyard.launchers.StackedLauncher"


for name, node in (("local", LocalLauncherConf), ("stacked", StackedLauncherConf)):
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="trainyard")


class LocalLauncher(Launcher):
    """Runs jobs on this machine, `slots` at a time; each has its share of the cores and of the GPUs."""

    needs_all_jobs: ClassVar[bool] = False
    """Whether `launch` should get a list of all jobs, rather than a generator."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.progress: SweepProgress | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the arguments that Hydra passes to every launcher, and start the server that forks jobs."""
        from trainyard.sweeps.execution.job_process import HydraTask
        from trainyard.sweeps.execution.processes import job_context

        self.config = config
        self.loader = hydra_context.config_loader
        self.composed_configs: dict[tuple[str, ...], bytes] = {}  # pickled, in a hundredth of the memory
        self.task = HydraTask(f"{task_function.__module__}:{task_function.__qualname__}", hydra_context.callbacks)
        self.context = job_context(config.sweep.pruner != "none")

    def launch(self, job_overrides: Iterable[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides; a generator is advanced when a slot is free."""
        from trainyard.sweeps.execution.job_process import JobGroup

        jobs = self.compose_jobs(job_overrides, initial_job_idx)
        return self.run_groups(self.create_pool(), (JobGroup([index], [config]) for index, config in jobs))

    def create_pool(self, slots: int | None = None) -> "ProcessPool":
        """Return a pool of processes for the jobs."""
        from trainyard.sweeps.execution.processes import ProcessPool

        return ProcessPool(slots or self.slots, self.task, self.context)

    def run_groups(self, pool: "ProcessPool", groups: Iterable["JobGroup"]) -> list[JobReturn]:
        """Run groups of jobs, and return the results of those that were started."""
        if self.progress:
            pool.on_start, pool.on_poll = self.progress.start, self.progress.update
        returns = {}
        with closing(pool.run(groups)) as ends:
            for end in ends:
                returns[end.index] = JobReturn(status=JobStatus.FAILED if end.error else JobStatus.COMPLETED)
                returns[end.index].return_value = RuntimeError(end.error) if end.error else None
                if self.progress and self.progress.finish(end):
                    pool.stop()
        return [returns[index] for index in sorted(returns)]

    def find_problems(self, job_overrides: Sequence[Sequence[str]]) -> dict[int, str]:
        """Return the problem of each job that cannot work, by its index."""
        from trainyard.config.format_error import format_error
        from trainyard.sweeps.execution.checks import find_problems

        problems = {}
        for index, overrides in enumerate(job_overrides):  # while the server imports modules
            try:
                self.compose(overrides)
            except HydraException as error:
                problems[index] = format_error(error)
        return problems or find_problems(self.compose_jobs(job_overrides, 0), self.context)

    def compose_jobs(self, job_overrides: Iterable[Sequence[str]], first: int) -> Iterator[tuple[int, DictConfig]]:
        """Yield the index and the config of each job."""
        for index, overrides in enumerate(job_overrides, start=first):
            config = self.compose(overrides)
            with open_dict(config):
                config.hydra.job.id = str(index)
                config.hydra.job.num = index
            yield index, config

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config of a job; Hydra composes it once.

        Raises:
            hydra.errors.HydraException: the overrides are invalid.
        """
        key = tuple(overrides)
        if key not in self.composed_configs:
            self.composed_configs[key] = pickle.dumps(self.loader.load_sweep_config(self.config, list(key)))
        config: DictConfig = pickle.loads(self.composed_configs[key])
        return config


class StackedLauncher(LocalLauncher):
    """Trains jobs of the same network as one network with stacked parameters, divided among `slots` processes.

    Other jobs run as with `LocalLauncher`.
    """

    needs_all_jobs = True

    def launch(self, job_overrides: Iterable[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides; those from a generator are not stacked."""
        if not isinstance(job_overrides, Sequence):
            print("not stacked: the next configuration depends on the results of earlier jobs", flush=True)
            return super().launch(job_overrides, initial_job_idx)
        configs = dict(self.compose_jobs(job_overrides, initial_job_idx))
        groups = self.group_jobs(configs)
        return self.run_groups(self.create_pool(max(1, min(self.slots, len(groups)))), groups)

    def group_jobs(self, configs: dict[int, DictConfig]) -> list["JobGroup"]:
        """Return stacks, then single jobs; print why jobs are single."""
        from trainyard.sweeps.execution.job_process import JobGroup
        from trainyard.sweeps.stacked.stackable import format_reasons, group_stackable, split_group

        stackable, reasons = group_stackable(configs)
        stacks = [stack for group in stackable for stack in split_group(group, self.slots)]
        if reasons:
            names = {index: str(config.hydra.sweep.subdir) for index, config in configs.items()}
            print(format_reasons(reasons, names), flush=True)
        chosen = [*stacks, *([index] for index in configs if index in reasons)]
        return [JobGroup(indices, [configs[index] for index in indices]) for indices in chosen]
