"""Checks of a sweep before its first job starts: the sweep's own options, then the config and network of every job."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.arguments import check_arguments, check_ranges, convert_text
from trainyard.config.format_error import format_error
from trainyard.config.objective import Objective
from trainyard.io.errors import ConfigError, config_error
from trainyard.sweeps.execution.job_checks import find_problem, find_steps_problem, objective_of
from trainyard.sweeps.execution.job_parts import Dependence, JobParts
from trainyard.sweeps.job import Job
from trainyard.terminal.display import progress_counter

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

ANY_OBJECTIVE = Objective("val/loss", "min")  # stands for that of a job that cannot work
COMPOSED_AHEAD = 16  # jobs that wait for their check


def check_options(config: DictConfig) -> None:
    """Raise a ConfigError for invalid options of a sweep. Values from the environment are converted in place."""
    values: dict[str, Any] = {
        "sweep": OmegaConf.to_container(config.sweep, resolve=True),
        "hydra": {"launcher": {"slots": config.hydra.launcher.get("slots", 1)}},
    }
    convert_text(values)
    options = config.sweep
    with open_dict(config):
        options.update(values["sweep"])
        if "slots" in config.hydra.launcher:
            config.hydra.launcher.slots = values["hydra"]["launcher"]["slots"]
    if options.zip is not None and not isinstance(options.zip, ListConfig):
        raise config_error("sweep.zip", options.zip, "must be a list", "sweep.zip=[model,data]")
    if not isinstance(options.params, DictConfig):
        accepted = "sweep.params={seed:'0,1'}"
        raise config_error("sweep.params", options.params, "must be keys with their values", accepted)
    if options.trials is not None and options.sampler is None:
        accepted = "with sweep=random or sweep=tpe"
        raise config_error("sweep.trials", options.trials, "a grid runs all of its jobs", accepted)
    if options.trials is None and options.sampler is not None:
        raise config_error("sweep.trials", "null", "a search needs a number of trials", "a whole number from 1")
    if isinstance(options.sampler, DictConfig):
        check_arguments(OmegaConf.create({"sweep": {"sampler": options.sampler}}))
    check_ranges(OmegaConf.create(values))
    name = str(options.name)
    if name in (".", "..") or {"/", "\\"} & set(name):
        accepted = "a name without slashes, or hydra.sweep.dir=PATH"
        raise config_error("sweep.name", name, "not the name of one folder", accepted)


def check_jobs(
    launcher: "LocalLauncher",
    objective: Objective,
    jobs: Sequence[Job],
    job_overrides: Sequence[Sequence[str]],
    axes: Sequence[str],
) -> None:
    """Raise one ConfigError for all jobs that cannot work, grouped by problem.

    Args:
        launcher: composes the jobs.
        objective: of the sweep.
        jobs: to check.
        job_overrides: of each job.
        axes: keys that name the jobs.
    """
    problems = find_problems(launcher, objective, job_overrides)
    if not problems:
        return
    groups: dict[str, list[Job]] = {}
    for index, problem in problems.items():
        groups.setdefault(problem, []).append(jobs[index])
    lines = [f"{len(problems)} of {len(jobs)} jobs cannot work; none was started"]
    for problem, members in groups.items():
        names = "; ".join(f"#{job.number} {job.axis_values(axes)}" for job in members[:5])
        more = f" and {len(members) - 5} more" if len(members) > 5 else ""
        lines.append(f"{names}{more}\n  {problem}")
    raise ConfigError("\n".join(lines))


def find_problems(
    launcher: "LocalLauncher", objective: Objective, job_overrides: Sequence[Sequence[str]]
) -> dict[int, str]:
    """Return the problem of each job that cannot work, by its index.

    Of jobs that differ only in the seed and in values of the optimizer and the schedule, the first is checked. If it
    can work, the others are checked for these values alone. Jobs that differ only in the seed are checked once.
    """
    jobs = [JobParts.split(overrides) for overrides in job_overrides]
    first: dict[tuple[str, ...], int] = {}
    for index, job in enumerate(jobs):
        first.setdefault(job.rest, index)
    with progress_counter("checking", len(jobs), "jobs") as count, suppress(BrokenProcessPool):
        checker = JobChecker(launcher, objective, job_overrides, count)
        problems = checker.problems
        with checker.executor:
            checker.check(find_problem, [[index] for index in first.values()])
            whole: dict[Hashable, list[int]] = {}
            steps: dict[Hashable, list[int]] = {}
            for index, job in enumerate(jobs):
                on_job, on_steps = checker.dependence[first[job.rest]]
                if on_steps or problems[first[job.rest]]:
                    whole.setdefault(index if on_job else (job.rest, job.steps), []).append(index)
                else:
                    steps.setdefault((job.options, job.steps), []).append(index)
            checker.check(find_problem, whole.values())
            checker.check(find_steps_problem, steps.values())
    return {index: problem for index, problem in sorted(problems.items()) if problem}


class JobChecker:
    """Composes jobs, and checks them in another process meanwhile, since that needs torch and the data.

    Attributes:
        problems: why each job cannot work, by its index; empty if it can.
        dependence: between the parts of the jobs that were checked.
    """

    def __init__(
        self,
        launcher: "LocalLauncher",
        objective: Objective,
        job_overrides: Sequence[Sequence[str]],
        count: Callable[[int], object],
    ) -> None:
        self.launcher, self.job_overrides, self.count = launcher, job_overrides, count
        self.objective = None if objective is ANY_OBJECTIVE else objective
        self.problems: dict[int, str] = {}
        self.dependence: dict[int, Dependence] = {}
        self.executor = ProcessPoolExecutor(1, mp_context=launcher.context)

    def check(self, find: Callable[[DictConfig, Objective | None], str], groups: Iterable[Sequence[int]]) -> None:
        """Check the first job of each group for all of them, unless the problem of one is known."""
        pending: deque[tuple[Sequence[int], Future[str]]] = deque()
        for group in groups:
            if known := self.problems.keys() & {*group}:
                self.store(group, self.problems[known.pop()])
                continue
            try:
                [config] = self.launcher.compose_jobs([self.job_overrides[group[0]]])
            except (HydraException, ConfigError, ValueError) as error:
                self.dependence[group[0]] = Dependence()
                self.store(group, format_error(error))
                continue
            if find is find_problem:
                self.dependence[group[0]] = Dependence.find(config)
            try:
                result = self.executor.submit(find, config, self.objective)
            except BrokenProcessPool as error:
                (result := Future()).set_exception(error)  # that of the check that crashed is the first
            pending.append((group, result))
            if len(pending) > COMPOSED_AHEAD:
                self.collect(*pending.popleft())
        for group, result in pending:
            self.collect(group, result)

    def collect(self, group: Sequence[int], result: Future[str]) -> None:
        """Wait for the result of a group."""
        try:
            self.store(group, result.result())
        except BrokenProcessPool:
            self.store(group, "the process that checks it has crashed, in the code of its data or model")
            raise

    def store(self, group: Sequence[int], problem: str) -> None:
        """Store the result of a group."""
        self.count(len({*group} - self.problems.keys()))
        self.problems |= dict.fromkeys(group, problem)


def find_objective(launcher: "LocalLauncher", overrides: Sequence[str]) -> Objective:
    """Return the objective of a job whose task depends on its data; any if the job cannot work: it will be checked."""
    with suppress(HydraException, ConfigError, BrokenProcessPool):
        [config] = launcher.compose_jobs([overrides])
        with ProcessPoolExecutor(1, mp_context=launcher.context) as executor:
            return executor.submit(objective_of, config).result() or ANY_OBJECTIVE
    return ANY_OBJECTIVE
