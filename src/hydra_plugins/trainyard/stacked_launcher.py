"""The launcher that trains jobs of the same network as one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn

from hydra_plugins.trainyard.launcher import LocalLauncher, LocalLauncherConf

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from trainyard.sweeps.execution.task import Task


@dataclass
class StackedLauncherConf(LocalLauncherConf):
    """What `hydra.launcher` holds."""

    _target_: str = "hydra_plugins.trainyard.stacked_launcher.StackedLauncher"


ConfigStore.instance().store(group="hydra/launcher", name="stacked", node=StackedLauncherConf, provider="trainyard")


class StackedLauncher(LocalLauncher):
    """Trains jobs as one network of stacked parameters where they have the same layers; runs the others as they are.

    Args:
        slots: processes at a time, among which a stack is divided.
    """

    takes_all = True

    def launch(self, job_overrides: Iterable[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and return how they ended, in the same order.

        Lists that come from a generator may depend on how earlier jobs ended, and run one by one.
        """
        from trainyard.sweeps.execution.processes import Slots

        if not isinstance(job_overrides, Sequence):
            print("not stacked: what the search draws depends on how earlier jobs end", flush=True)
            return super().launch(job_overrides, initial_job_idx)
        configs = dict(self.composed(job_overrides, initial_job_idx))
        tasks = self.tasks(configs)
        returns = [JobReturn(overrides=list(overrides)) for overrides in job_overrides]
        slots = Slots(max(1, min(self.slots, len(tasks))), self.task, self.processes)
        self.run(slots, tasks, returns, initial_job_idx)
        return returns

    def tasks(self, configs: dict[int, "DictConfig"]) -> list["Task"]:
        """Return stacks, then single jobs, and say which these are and why."""
        from trainyard.sweeps.execution.task import Task
        from trainyard.sweeps.stacked.stackable import divided, stackable, told

        groups, reasons = stackable(configs)
        stacks = [stack for group in groups for stack in divided(group, self.slots)]
        if reasons:
            names = {number: str(config.hydra.sweep.subdir) for number, config in configs.items()}
            print(told(reasons, names), flush=True)
        chosen = [*stacks, *([number] for number in configs if number in reasons)]
        return [Task(numbers, [configs[number] for number in numbers]) for numbers in chosen]
