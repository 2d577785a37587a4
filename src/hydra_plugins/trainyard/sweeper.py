"""The sweeper. It resumes a sweep when its command is repeated."""

import gc
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hydra_plugins.trainyard.launchers import LocalLauncher
from trainyard.config.objective import AUTO, Objective
from trainyard.io.errors import config_error
from trainyard.io.signals import Interrupted

if TYPE_CHECKING:
    from trainyard.sweeps.search_space import SearchSpace
    from trainyard.sweeps.stored import StoredSweep
    from trainyard.sweeps.sweep import Sweep


node = {"_target_": f"{__name__}.ResumingSweeper"}
ConfigStore.instance().store(group="hydra/sweeper", name="trainyard", node=node, provider="trainyard")


class ResumingSweeper(Sweeper):
    """Runs the jobs of a grid or a search, each once: the same command resumes the sweep."""

    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the arguments that Hydra passes to every sweeper."""
        self.config = config
        self.context = hydra_context
        self.task_function = task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Run the unfinished jobs of the sweep and print its leaderboard, or its plan."""
        print("sweep      preparing the jobs", flush=True)  # before the slow imports
        from trainyard.sweeps.execution.checks import check_options
        from trainyard.sweeps.stored import SWEEP_FILE, StoredSweep, lock_sweep

        gc.freeze()  # composing turned garbage collection off; a long sweep needs it
        gc.enable()
        options = self.config.sweep
        check_options(self.config)
        space = self.parse_space(arguments)
        with open_dict(self.config):
            options.name = space.name() if options.name is None else str(options.name)
        folder = Path(self.config.hydra.sweep.dir)
        objective = self.find_objective(folder, space)
        if options.plan:
            self.print_plan(StoredSweep.preview(folder, space, objective))
            return
        with lock_sweep(folder):
            is_new = not (folder / SWEEP_FILE).exists()
            stored = StoredSweep.create(folder, space, objective)
            try:
                self.run_jobs(stored)
            except (KeyboardInterrupt, Interrupted) as error:
                self.report_interruption(stored)
                sys.exit(error.code if isinstance(error, Interrupted) else 130)
            except Exception:
                if is_new and not any(job.folder.exists() for job in stored.jobs):
                    stored.discard()
                raise
            self.print_report(stored)

    def parse_space(self, arguments: list[str]) -> "SearchSpace":
        """Return the search space of `sweep.params` and the command line."""
        from trainyard.sweeps.search_space import SearchSpace

        options = self.config.sweep
        params = [f"{key}={'null' if value is None else value}" for key, value in options.params.items()]
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        sampler = options.sampler._target_ if isinstance(options.sampler, DictConfig) else ""
        overrides = parser.parse_overrides(params + arguments)
        return SearchSpace.parse(overrides, options.zip, options.where or "", sampler)

    def find_objective(self, folder: Path, space: "SearchSpace") -> Objective:
        """Return the objective of the command; if it depends on the data, that of the first job."""
        from trainyard.sweeps.execution.checks import find_objective
        from trainyard.sweeps.stored import SWEEP_FILE, read_space

        if self.config.objective != AUTO:
            return Objective.from_config(self.config)
        if (folder / SWEEP_FILE).exists():
            return read_space(folder / SWEEP_FILE)[1]
        launcher = self.local_launcher()
        from trainyard.sweeps.distributions import representative_jobs
        from trainyard.sweeps.leaderboard import report  # noqa: F401  # now, while the launcher's server imports
        from trainyard.sweeps.sweep import Sweep  # noqa: F401

        first = representative_jobs(space)[0] if space.sampler else space.jobs()[0]
        return find_objective(launcher, first)

    def local_launcher(self) -> LocalLauncher:
        """Return a launcher of jobs on this machine."""
        launcher = LocalLauncher()
        launcher.setup(hydra_context=self.context, task_function=self.task_function, config=self.config)
        return launcher

    def print_plan(self, stored: "StoredSweep") -> None:
        """Print the plan of a sweep."""
        from trainyard.sweeps.plan import plan_sweep

        launcher, options = self.start_launcher(), self.config.sweep
        if not isinstance(launcher, LocalLauncher):
            problem = "jobs on other machines cannot be timed on this one"
            raise config_error("sweep.plan", True, problem, "with hydra/launcher=local")
        plan_sweep(stored, launcher, options.trials, options.keep, options.pruner != "none")

    def run_jobs(self, stored: "StoredSweep") -> None:
        """Check and run the unfinished jobs of a sweep."""
        options, trials = self.config.sweep, self.config.sweep.trials or 0
        is_done = stored.done and len(stored.jobs) == stored.total_jobs(trials)
        launcher = None if is_done else self.start_launcher()
        from trainyard.config.composition import instantiate
        from trainyard.sweeps.leaderboard import report  # noqa: F401  # now, while the launcher's server imports
        from trainyard.sweeps.sweep import Sweep

        make_sampler = instantiate(options.sampler) if options.sampler else None
        seed, pruner, fail_fast = options.get("seed", 0), options.pruner, options.fail_fast
        sweep = Sweep(stored, options.retries, options.keep, make_sampler, seed, trials, pruner, fail_fast)
        self.print_replaced(sweep)
        print(f"sweep      {stored.folder}: {sweep.total} jobs, {sweep.remaining} to do", flush=True)
        if launcher is None or not sweep.remaining:
            return
        if isinstance(launcher, LocalLauncher):
            self.run_local(launcher, sweep)
        else:
            self.run_remote(launcher, sweep)

    def print_replaced(self, sweep: "Sweep") -> None:
        """Print which of the user's files replace built-in options."""
        from trainyard.config.composition import describe_replaced

        common = [f"{group}={option}" for group, option in self.config.hydra.runtime.choices.items()]
        lines = describe_replaced({*common, *(word for job in sweep.examples for word in sweep.overrides(job))})
        print(*(f"{line}\n" for line in lines), sep="", end="", flush=True)

    def run_local(self, launcher: LocalLauncher, sweep: "Sweep") -> None:
        """Run jobs on this machine."""
        from trainyard.sweeps.execution.checks import check_jobs
        from trainyard.sweeps.execution.submission import check_nothing_is_queued

        check_jobs(
            launcher, sweep.stored.objective, sweep.examples, [*map(sweep.overrides, sweep.examples)], sweep.axes
        )
        check_nothing_is_queued(sweep.folder, sweep.queue)
        launcher.run_sweep(sweep)

    def run_remote(self, launcher: Launcher, sweep: "Sweep") -> None:
        """Run jobs with another launcher; a search runs them in batches."""
        from trainyard.sweeps.execution.checks import check_jobs
        from trainyard.sweeps.execution.remote import run_remote

        local = self.local_launcher()
        anywhere = "trainer.accelerator=auto"  # this machine may have no GPU
        overrides = [[*sweep.overrides(job), anywhere] for job in sweep.examples]
        check_jobs(local, sweep.stored.objective, sweep.examples, overrides, sweep.axes)
        for batch in sweep.batches(self.config.sweep.batch if sweep.sampler else sweep.remaining):
            run_remote(launcher, sweep, batch)

    def start_launcher(self) -> Launcher:
        """Return the launcher of the config; jobs of launchers that are not ours record how they end."""
        from trainyard.sweeps.execution.remote import RemoteTask

        is_ours = self.config.hydra.launcher._target_.startswith(f"{__package__}.")
        task = self.task_function if is_ours else RemoteTask(self.task_function)
        create = Plugins.instance().instantiate_launcher
        return create(hydra_context=self.context, task_function=task, config=self.config)

    def print_report(self, stored: "StoredSweep") -> None:
        """Print the leaderboard; exit with 1 if jobs failed or are not done."""
        from trainyard.sweeps.leaderboard.report import final_report

        text, is_successful = final_report(stored)
        print(text)
        if not is_successful:
            name = self.config.hydra.job.config_name  # Hydra would call this, but not after the exit
            self.context.callbacks.on_multirun_end(config=self.config, config_name=name)
            sys.exit(1)

    def report_interruption(self, stored: "StoredSweep") -> None:
        """Write the leaderboard so far, and print how to resume."""
        from trainyard.sweeps.leaderboard.report import write_report

        if any(job.folder.exists() for job in stored.jobs):
            write_report(stored)
        print(f"interrupted; the same command resumes the sweep: python {shlex.join(sys.orig_argv[1:])}")
