"""The sweeper that goes on where it was stopped."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.trainyard.launcher import LocalLauncher


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
        from trainyard.ranges import check_ranges
        from trainyard.sweeps.search_space import SearchSpace
        from trainyard.sweeps.sweep import Sweep, held

        parser = OverridesParser.create(config_loader=self.context.config_loader)
        space = SearchSpace.of(parser.parse_overrides(arguments))
        own = self.config.sweep
        check_ranges(OmegaConf.create({"sweep": own}))
        with open_dict(self.config):
            own.name = space.name() if own.name is None else str(own.name)
        folder = Path(self.config.hydra.sweep.dir)
        with held(folder):
            sweep = Sweep(folder, space, self.config.objective, own.retries, own.keep)
            left = sweep.left()
            print(f"sweep      {folder}: {len(space.jobs())} jobs, {len(left)} to do")
            if left:
                self.try_to_launch(sweep, left)
            self.answer(sweep)

    def try_to_launch(self, sweep: Any, left: Sequence[Any]) -> None:
        """Run the jobs; leave nothing of a sweep that cannot begin, and say how one that was interrupted goes on."""
        from trainyard.errors import ConfigError

        try:
            self.launch(sweep, left)
        except KeyboardInterrupt:
            print(f"interrupted; the same command goes on with what is left: python {shlex.join(sys.orig_argv[1:])}")
            sys.exit(130)
        except (ConfigError, HydraException):
            if not any(job.folder.exists() for job in sweep.jobs):
                shutil.rmtree(sweep.folder, ignore_errors=True)
            raise

    def launch(self, sweep: Any, left: Sequence[Any]) -> None:
        """Run the jobs with the launcher that was chosen."""
        from trainyard.sweeps.watch import Watch

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task_function, config=self.config
        )
        watch = Watch(left, len(sweep.jobs), sweep.space.axes, sweep.begin, sweep.finish, self.config.sweep.fail_fast)
        fixed = f"hydra.sweep.dir={sweep.folder}"
        overrides = [[*job.overrides, fixed, f"hydra.sweep.subdir={job.number}"] for job in left]
        if isinstance(launcher, LocalLauncher):
            refuse(launcher.impossible(overrides), left, sweep.space.axes)
            launcher.watch = watch
            launcher.launch(overrides, initial_job_idx=0)
            return
        for job in left:  # a launcher of others tells nothing until it returns
            sweep.begin(job)
        for job, done in zip(left, launcher.launch(overrides, initial_job_idx=0), strict=True):
            error = done._return_value if isinstance(done._return_value, BaseException) else ""
            sweep.finish(job, str(error))

    def answer(self, sweep: Any) -> None:
        """Print the leaderboard; leave with 1 where jobs have failed."""
        from trainyard.sweeps.report import text, write_report
        from trainyard.sweeps.sweep import grouped

        rows, axes, objective = sweep.stored.rows, sweep.space.axes, sweep.stored.objective
        write_report(sweep.folder, rows, axes, objective)
        print(text(rows, axes, objective))
        failures = grouped(sweep.jobs, list(sweep.space.axes))
        for line in failures:
            print(line)
        if failures:
            name = self.config.hydra.job.config_name  # what follows Hydra would do, but for the exit
            self.context.callbacks.on_multirun_end(config=self.config, config_name=name)
            sys.exit(1)


def refuse(impossible: dict[int, str], jobs: Sequence[Any], axes: Any) -> None:
    """Raise one error that names all jobs that cannot work, with their reason."""
    if not impossible:
        return
    from trainyard.errors import ConfigError

    causes: dict[str, list[int]] = {}
    for place, cause in impossible.items():
        causes.setdefault(cause, []).append(place)
    lines = [f"{len(impossible)} of {len(jobs)} jobs cannot work; none was started"]
    for cause, places in causes.items():
        names = "; ".join(f"#{jobs[place].number} {jobs[place].varying(axes)}" for place in places[:5])
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        lines.append(f"{names}{more}\n  {cause}")
    raise ConfigError("\n".join(lines))
