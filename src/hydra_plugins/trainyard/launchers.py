"""The launchers for jobs on this machine: each in its own process, or stacked."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from trainyard.sweeps.execution.processes import ProcessPool
    from trainyard.sweeps.sweep import Sweep


for name in ("Local", "Stacked"):
    node = {"_target_": f"{__name__}.{name}Launcher", "slots": 1}
    ConfigStore.instance().store(group="hydra/launcher", name=name.lower(), node=node, provider="trainyard")


class LocalLauncher(Launcher):
    """Runs jobs on this machine, `slots` at a time; each has its share of the cores and of the GPUs."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the arguments that Hydra passes to every launcher, and start the server that forks jobs."""
        from trainyard.sweeps.execution.job_configs import JobConfigs
        from trainyard.sweeps.execution.job_process import HydraTask
        from trainyard.sweeps.execution.processes import job_context

        self.config = config
        self.compose = JobConfigs(hydra_context.config_loader, config).compose
        self.task = HydraTask(f"{task_function.__module__}:{task_function.__qualname__}", hydra_context.callbacks)
        self.context = job_context(config.sweep.pruner != "none")

    def run_sweep(self, sweep: "Sweep") -> None:
        """Run the jobs of a sweep, each when a slot is free; a search draws each configuration then."""
        from trainyard.sweeps.progress import SweepProgress

        configs = self.compose_jobs(map(sweep.overrides, sweep.jobs_to_run()))
        groups = self.group_jobs(configs, sweep.is_independent)
        pool = self.create_pool(len(groups) if isinstance(groups, list) else self.slots)
        progress = SweepProgress(sweep)

        def start(number: int) -> None:
            sweep.start(sweep.jobs[number])
            progress.start(sweep.jobs[number])

        with progress.bars, closing(pool.run(groups, start, progress.update)) as exits:
            for job_exit in exits:
                job = sweep.jobs[job_exit.number]
                sweep.finish(job, job_exit.error, job_exit.disk_full)
                progress.finish(job)
                if sweep.stopping:
                    pool.stop()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, for another sweeper than Trainyard's."""
        groups = self.group_jobs(self.compose_jobs(job_overrides, initial_job_idx), is_independent=True)
        returns = {}
        for job_exit in self.create_pool(len(job_overrides)).run(groups):
            returns[job_exit.number] = JobReturn(status=JobStatus.FAILED if job_exit.error else JobStatus.COMPLETED)
            returns[job_exit.number].return_value = RuntimeError(job_exit.error) if job_exit.error else None
        return [returns[number] for number in sorted(returns)]

    def group_jobs(self, configs: Iterable[DictConfig], is_independent: bool) -> Iterable[Sequence[DictConfig]]:
        """Return the jobs that train together in one process: each alone. The configs are composed when needed.

        Args:
            is_independent: whether no job depends on the results of earlier ones.
        """
        return ([config] for config in configs)

    def create_pool(self, jobs: int) -> "ProcessPool":
        """Return a pool of processes, with as many slots as there are jobs at most."""
        from trainyard.sweeps.execution.processes import ProcessPool

        return ProcessPool(max(1, min(self.slots, jobs)), self.task, self.context)

    def compose_jobs(self, job_overrides: Iterable[Sequence[str]], first: int = 0) -> Iterator[DictConfig]:
        """Yield the config of each job, with Hydra's node."""
        for index, overrides in enumerate(job_overrides, start=first):
            config = self.compose(overrides)
            with open_dict(config):
                config.hydra.job.id = str(index)
                config.hydra.job.num = index
            yield config


class StackedLauncher(LocalLauncher):
    """Trains jobs of the same network as one network with stacked parameters, divided among `slots` processes.

    Other jobs run as with `LocalLauncher`.
    """

    def group_jobs(self, configs: Iterable[DictConfig], is_independent: bool) -> Iterable[Sequence[DictConfig]]:
        """Return stacks, then single jobs; print why jobs are single."""
        from trainyard.sweeps.execution.job_process import job_number
        from trainyard.sweeps.stacked.stackable import format_reasons, group_stackable, split_group

        if not is_independent:
            print("not stacked: the next configuration depends on the results of earlier jobs", flush=True)
            return super().group_jobs(configs, is_independent)
        by_number = {job_number(config): config for config in configs}
        stackable, reasons = group_stackable(by_number)
        if reasons:
            print(format_reasons(reasons), flush=True)
        stacks = [stack for group in stackable for stack in split_group(group, self.slots)]
        stacks += [[number] for number in by_number if number in reasons]
        return [[by_number[number] for number in stack] for stack in stacks]
