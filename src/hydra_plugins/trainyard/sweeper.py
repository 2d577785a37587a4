"""The sweeper that goes on where it was stopped."""

import gc
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.trainyard.launcher import LocalLauncher
from trainyard.errors import reject
from trainyard.run_ending import AGAIN, full_disk, is_disk_full
from trainyard.signals import Interrupted

if TYPE_CHECKING:
    from trainyard.sweeps.search_space import SearchSpace
    from trainyard.sweeps.stored import StoredSweep


@contextmanager
def full_disk_rejected(folder: Path) -> Iterator[None]:
    """Raise a ConfigError if a sweep cannot write its own files because the disk is full; its jobs are kept."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise reject("hydra.sweep.dir", folder, full_disk(folder), AGAIN) from error
        raise


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
        from trainyard.sweeps.space_file import FILE
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
        if own.plan:
            self.plan(StoredSweep.seen(folder, space, objectives))
            return
        with full_disk_rejected(folder), held(folder):
            known = (folder / FILE).exists()
            stored = StoredSweep.take(folder, space, objectives)
            try:
                self.run_rest(stored)
            except (KeyboardInterrupt, Interrupted) as error:
                self.interrupted(stored)
                sys.exit(error.code if isinstance(error, Interrupted) else 130)
            except Exception:
                if not known and not any(job.folder.exists() for job in stored.jobs):  # no job has started
                    stored.discard()
                raise
            self.answer(stored)

    def interrupted(self, stored: "StoredSweep") -> None:
        """Write the leaderboard of the jobs that have ended, and say how to resume."""
        from trainyard.sweeps.answer.report import write_report

        if any(job.folder.exists() for job in stored.jobs):
            write_report(stored)
        print(f"interrupted; the same command resumes the sweep: python {shlex.join(sys.orig_argv[1:])}")

    def space(self, arguments: list[str]) -> "SearchSpace":
        """Return what the arguments span, with what a file of conf/sweep says beside."""
        from trainyard.sweeps.search_space import SearchSpace

        own = self.config.sweep
        kept = [f"{key}={'null' if value is None else value}" for key, value in own.params.items()]
        overrides = OverridesParser.create(config_loader=self.context.config_loader).parse_overrides(kept + arguments)
        sampler = own.sampler._target_ if isinstance(own.sampler, DictConfig) else ""
        return SearchSpace.of(overrides, own.zip, own.where or "", sampler)

    def plan(self, stored: "StoredSweep") -> None:
        """Say what the jobs of a sweep are that are left, and what they will take."""
        from trainyard.sweeps.plan import plan_sweep

        launcher, own = self.start_launcher(), self.config.sweep
        if not isinstance(launcher, LocalLauncher):
            problem = "its jobs run on other machines than the one that times them"
            raise reject("sweep.plan", True, problem, "with hydra/launcher=local")
        plan_sweep(stored, launcher, own.trials, own.keep, own.pruner != "none")

    def run_rest(self, stored: "StoredSweep") -> None:
        """Run the jobs of a sweep that are left, if all of them can work."""
        own = self.config.sweep
        trials = own.trials or 0
        launcher = None if stored.done and len(stored.jobs) == stored.jobs_of(trials) else self.start_launcher()
        from trainyard.config import instantiate
        from trainyard.sweeps.answer import report  # noqa: F401  # now, while the launcher's server imports
        from trainyard.sweeps.execution.elsewhere import run_elsewhere
        from trainyard.sweeps.execution.here import refuse_impossible, run_here
        from trainyard.sweeps.search.suggestions import Suggestions
        from trainyard.sweeps.sweep import Sweep
        from trainyard.sweeps.worklist import Worklist

        sweep = Sweep(stored, own.retries, own.keep)
        suggestions = Suggestions(sweep, instantiate(own.sampler), own.seed) if own.sampler else None
        worklist = Worklist(sweep, suggestions, trials, own.pruner)
        print(f"sweep      {stored.folder}: {worklist.total} jobs, {len(worklist)} to do", flush=True)
        if launcher is None or not len(worklist):
            return
        if isinstance(launcher, LocalLauncher):
            refuse_impossible(launcher, worklist)
            run_here(launcher, worklist, own.fail_fast)
            return
        local = LocalLauncher()
        local.setup(hydra_context=self.context, task_function=self.task_function, config=self.config)
        refuse_impossible(local, worklist, "trainer.accelerator=auto")  # without the GPUs that are there
        for batch in worklist.batches(own.batch if own.sampler else len(worklist)):
            run_elsewhere(launcher, worklist, batch, own.fail_fast)
            if own.fail_fast and any(job.status == "failed" for job in batch):
                return

    def start_launcher(self) -> Launcher:
        """Return the launcher that was chosen; one of others runs its jobs so that they say how they ended."""
        from trainyard.sweeps.execution.attempt import Attempt

        ours = self.config.hydra.launcher._target_.startswith(f"{__package__}.")
        task = self.task_function if ours else Attempt(self.task_function)
        make = Plugins.instance().instantiate_launcher
        return make(hydra_context=self.context, task_function=task, config=self.config)

    def answer(self, stored: "StoredSweep") -> None:
        """Print the leaderboard; leave with 1 where jobs have failed, or are not done."""
        from trainyard.sweeps.answer.ending import ending

        said, well = ending(stored)
        print(said)
        if not well:
            name = self.config.hydra.job.config_name  # what follows Hydra would do, but for the exit
            self.context.callbacks.on_multirun_end(config=self.config, config_name=name)
            sys.exit(1)
