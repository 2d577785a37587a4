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

from hydra_plugins.trainyard.launcher import LocalLauncher
from trainyard.errors import ConfigError

if TYPE_CHECKING:
    from trainyard.sweeps.job import Job
    from trainyard.sweeps.queue import Queue
    from trainyard.sweeps.search_space import SearchSpace
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
        from trainyard.sweeps.objectives import check_objectives
        from trainyard.sweeps.options import check_axes, check_options
        from trainyard.sweeps.stored import StoredSweep

        gc.freeze()  # the command was composed without the collector; a sweep goes on for long and needs it
        gc.enable()
        own = self.config.sweep
        check_options(self.config)
        space = self.space(arguments)
        check_axes(space.axes)
        objectives = check_objectives(own.objectives or [], self.config.objective)
        with open_dict(self.config):
            own.name = space.name() if own.name is None else str(own.name)
        folder = Path(self.config.hydra.sweep.dir)
        with held(folder):
            stored = StoredSweep.take(folder, space, objectives)
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

    def space(self, arguments: list[str]) -> "SearchSpace":
        """Return what the arguments span, with what a file of conf/sweep says beside."""
        from trainyard.sweeps.search_space import SearchSpace

        own = self.config.sweep
        kept = [f"{key}={'null' if value is None else value}" for key, value in own.params.items()]
        overrides = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(kept + arguments)
        sampler = own.sampler._target_ if isinstance(own.sampler, DictConfig) else ""
        return SearchSpace.of(overrides, own.zip, own.where or "", sampler)

    def run_rest(self, stored: "StoredSweep") -> None:
        """Run the jobs of a sweep that are left."""
        own = self.config.sweep
        trials = own.trials or len(stored.jobs)
        done = stored.done and len(stored.jobs) >= trials
        launcher = None if done else self.start_launcher()
        from trainyard.config import instantiate
        from trainyard.sweeps.answer import report  # noqa: F401  # now, while the launcher's server imports
        from trainyard.sweeps.queue import Queue
        from trainyard.sweeps.search.suggestions import Suggestions
        from trainyard.sweeps.sweep import Sweep

        sweep = Sweep(stored, own.retries, own.keep)
        suggestions = Suggestions(sweep, instantiate(own.sampler), own.seed) if own.sampler else None
        queue = Queue(sweep, suggestions, trials, own.pruner)
        print(f"sweep      {stored.folder}: {queue.total} jobs, {len(queue)} to do", flush=True)
        if launcher is None or not len(queue):
            return
        if isinstance(launcher, LocalLauncher):
            self.run_here(launcher, queue)
            return
        for batch in queue.batches(own.batch if own.sampler else len(queue)):
            self.run_elsewhere(launcher, sweep, batch, [queue.overrides(job) for job in batch])

    def run_here(self, launcher: LocalLauncher, queue: "Queue") -> None:
        """Run jobs on this machine, if all of them can work, and tell of them as they go."""
        from trainyard.sweeps.execution.checks import refuse
        from trainyard.sweeps.watch import Watch

        samples = queue.samples
        refuse(launcher.impossible([queue.overrides(job) for job in samples]), samples, queue.sweep.axes)
        with Watch(queue, self.config.sweep.fail_fast) as launcher.watch:
            launcher.launch((queue.overrides(job) for job in queue), initial_job_idx=0)

    def run_elsewhere(
        self, launcher: Launcher, sweep: "Sweep", left: Sequence["Job"], overrides: Sequence[Sequence[str]]
    ) -> None:
        """Run jobs by a launcher of others, which tells nothing until it returns."""
        for job in left:
            sweep.begin(job)
        for job, done in zip(left, launcher.launch(overrides, initial_job_idx=0), strict=True):
            error = done._return_value if isinstance(done._return_value, BaseException) else ""
            sweep.finish(job, str(error))

    def start_launcher(self) -> Launcher:
        """Return the launcher that was chosen."""
        return Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task_function, config=self.config
        )

    def answer(self, stored: "StoredSweep") -> None:
        """Print the leaderboard; leave with 1 where jobs have failed, or are not done."""
        from trainyard.sweeps.answer.failures import grouped
        from trainyard.sweeps.answer.report import text, write_report
        from trainyard.sweeps.job import DONE

        write_report(stored)
        print(text(stored))
        troubles = grouped(stored.jobs, list(stored.space.axes))
        if undone := [f"#{job.number}" for job in stored.jobs if job.status not in (*DONE, "failed")]:
            troubles.append(f"{len(undone)} not done: {', '.join(undone)}; the same command goes on with them")
        for line in troubles:
            print(line)
        if troubles:
            name = self.config.hydra.job.config_name  # what follows Hydra would do, but for the exit
            self.context.callbacks.on_multirun_end(config=self.config, config_name=name)
            sys.exit(1)
