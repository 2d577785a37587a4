"""The sweeper that goes on where it was stopped."""

import gc
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.trainyard.launcher import LocalLauncher, LocalLauncherConf
from trainyard.errors import ConfigError

if TYPE_CHECKING:
    from trainyard.sweeps.job import Job
    from trainyard.sweeps.stored import StoredSweep
    from trainyard.sweeps.sweep import Sweep


@dataclass
class ResumingSweeperConf:
    """What `hydra.sweeper` holds."""

    _target_: str = "hydra_plugins.trainyard.sweeper.ResumingSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="trainyard", node=ResumingSweeperConf, provider="trainyard")


class ResumingSweeper(Sweeper):
    """Runs the jobs of a grid, each once: the same command again goes on with what is left."""

    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to every sweeper."""
        self.config = config
        self.context = hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Run what is left of the sweep that the arguments span, and answer with its leaderboard."""
        from trainyard.sweeps.holder import held
        from trainyard.sweeps.options import check_options
        from trainyard.sweeps.search_space import SearchSpace
        from trainyard.sweeps.stored import StoredSweep

        parser = OverridesParser.create(config_loader=self.context.config_loader)
        space = SearchSpace.of(parser.parse_overrides(arguments))
        gc.freeze()  # the command was composed without the collector; a sweep goes on for long and needs it
        gc.enable()
        own = self.config.sweep
        check_options(self.config, space.axes)
        with open_dict(self.config):
            own.name = space.name() if own.name is None else str(own.name)
        folder = Path(self.config.hydra.sweep.dir)
        with held(folder):
            stored = StoredSweep.take(folder, space, self.config.objective)
            try:
                self.run_rest(stored)
            except KeyboardInterrupt:
                again = shlex.join(sys.orig_argv[1:])
                print(f"interrupted; the same command goes on with what is left: python {again}")
                sys.exit(130)
            except (ConfigError, HydraException):
                if not any(job.folder.exists() for job in stored.jobs):  # it cannot begin
                    stored.discard()
                raise
            self.answer(stored)

    def run_rest(self, stored: "StoredSweep") -> None:
        """Run the jobs of a sweep that are left."""
        launcher = None if stored.completed else self.start_launcher()
        from trainyard.sweeps.answer import report  # noqa: F401  # now, while the launcher's server imports
        from trainyard.sweeps.sweep import Sweep

        sweep = Sweep(stored, self.config.sweep.retries, self.config.sweep.keep)
        left = sweep.left()
        print(f"sweep      {stored.folder}: {len(stored.jobs)} jobs, {len(left)} to do", flush=True)
        if launcher is None or not left:
            return None
        fixed = f"hydra.sweep.dir={stored.folder}"
        overrides = [[*job.overrides, fixed, f"hydra.sweep.subdir={job.number}"] for job in left]
        if isinstance(launcher, LocalLauncher):
            return self.run_here(launcher, sweep, left, overrides)
        return self.run_elsewhere(launcher, sweep, left, overrides)

    def run_here(
        self, launcher: LocalLauncher, sweep: "Sweep", left: Sequence["Job"], overrides: Sequence[Sequence[str]]
    ) -> None:
        """Run jobs on this machine, if all of them can work, and tell of them as they go."""
        from trainyard.sweeps.execution.checks import refuse
        from trainyard.sweeps.execution.queue import check_nothing_waits
        from trainyard.sweeps.watch import Watch

        check_nothing_waits(sweep.stored.folder, left)
        axes, objective = list(sweep.stored.space.axes), sweep.stored.objective
        refuse(launcher.impossible(overrides), left, axes)
        fail_fast = self.config.sweep.fail_fast
        with Watch(left, len(sweep.jobs), axes, objective, sweep.begin, sweep.finish, fail_fast) as launcher.watch:
            launcher.launch(overrides, initial_job_idx=0)

    def run_elsewhere(
        self, launcher: Launcher, sweep: "Sweep", left: Sequence["Job"], overrides: Sequence[Sequence[str]]
    ) -> None:
        """Run jobs by a launcher of others, if all of them can work."""
        from trainyard.sweeps.execution.checks import refuse
        from trainyard.sweeps.execution.elsewhere import run_elsewhere

        local = LocalLauncher()
        local.setup(hydra_context=self.context, task_function=self.task_function, config=self.config)
        here = [[*words, "trainer.accelerator=auto"] for words in overrides]  # without the GPUs that are there
        refuse(local.impossible(here), left, list(sweep.stored.space.axes))
        run_elsewhere(launcher, sweep, left, overrides, self.config.sweep.fail_fast)

    def start_launcher(self) -> Launcher:
        """Return the launcher that was chosen; one of others runs its jobs so that they say how they ended."""
        from trainyard.sweeps.execution.attempt import Attempt

        ours = self.config.hydra.launcher._target_ == LocalLauncherConf._target_
        task = self.task_function if ours else Attempt(self.task_function)
        make = Plugins.instance().instantiate_launcher
        return make(hydra_context=self.context, task_function=task, config=self.config)

    def answer(self, stored: "StoredSweep") -> None:
        """Print the leaderboard; leave with 1 where jobs have failed, or are not done."""
        from trainyard.sweeps.answer.failures import grouped
        from trainyard.sweeps.answer.report import text, write_report

        rows, axes, objective = stored.rows, stored.space.axes, stored.objective
        write_report(stored.folder, rows, axes, objective)
        print(text(rows, axes, objective))
        troubles = grouped(stored.jobs, list(axes))
        if undone := [f"#{job.number}" for job in stored.jobs if job.status not in ("completed", "failed")]:
            troubles.append(f"{len(undone)} not done: {', '.join(undone)}; the same command goes on with them")
        for line in troubles:
            print(line)
        if troubles:
            name = self.config.hydra.job.config_name  # what follows Hydra would do, but for the exit
            self.context.callbacks.on_multirun_end(config=self.config, config_name=name)
            sys.exit(1)
