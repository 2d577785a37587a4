"""Checks of a sweep before its first job starts: the sweep's own options, then the config and network of every job."""

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.arguments import check_arguments, check_ranges, convert_text
from trainyard.config.constraints import RULES
from trainyard.config.format_error import format_error
from trainyard.config.objective import AUTO, Objective
from trainyard.io.errors import ConfigError, config_error
from trainyard.sweeps.job import Job
from trainyard.terminal.display import progress_counter

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

COMPOSED_AHEAD = 16  # jobs that wait for their check
SEEDS = RULES["seed"]
OWN_OVERRIDES = "${hydra:overrides.task}"  # of run.overrides in train.yaml
DEPENDS_ON_SEED = re.compile(r"\$\{[^}]*(seed|hydra[:.](?!runtime))")
ANY_OBJECTIVE = Objective("val/loss", "min")
checked: dict[str, Any] = {}  # parts that this process has checked, by their config; for data, its spec


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

    The parts of the jobs are checked in another process, since they need torch and the data; jobs that differ only in
    the seed are checked once.
    """
    problems: dict[int, str] = {}
    alike: dict[object, list[int]] = {}
    with progress_counter("composing", len(job_overrides), "jobs") as count:
        for index, overrides in enumerate(job_overrides):  # while that process imports torch
            try:
                config = launcher.compose(overrides)
                check_objective(config, objective)
                alike.setdefault(without_seed(config) or index, []).append(index)
            except (HydraException, ConfigError) as error:
                problems[index] = format_error(error)
            count(1)
    if problems:
        return problems
    indices = iter(alike.values())
    configs = launcher.compose_jobs(job_overrides[first] for first, *_ in alike.values())
    with progress_counter("checking", len(job_overrides), "jobs") as count:
        try:
            for problem in results_of_checks(launcher.context, configs, objective):
                group = next(indices)
                problems |= dict.fromkeys(group, problem) if problem else {}
                count(len(group))
        except BrokenProcessPool:
            crash = "the process that checks it has crashed, in the code of its data or model"
            problems |= dict.fromkeys(next(indices), crash)
    return problems


def results_of_checks(context: Any, configs: Iterable[DictConfig], objective: Objective) -> Iterator[str]:
    """Yield why each job cannot work, empty if it can; some are composed while others are checked."""
    pending: deque[Future[str]] = deque()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        for config in configs:
            try:
                pending.append(executor.submit(find_problem, config, objective))
            except BrokenProcessPool:  # the result of the check that crashed raises it first
                yield from (future.result() for future in pending)
                raise
            if len(pending) > COMPOSED_AHEAD:
                yield pending.popleft().result()
        yield from (future.result() for future in pending)


def without_seed(config: DictConfig) -> bytes | None:
    """Return a digest of all that is checked of a job but a valid seed; `None` if the seed may change other values."""
    nodes = {str(key): repr(node) for key, node in config.items_ex(resolve=False) if key != "hydra"}
    words: Any = OmegaConf.to_container(config.hydra.overrides.task)
    overrides = [word for word in words if not word.startswith("seed=")]
    seed, rest = nodes.pop("seed", ""), repr([nodes, config.hydra.runtime.choices, overrides])
    if not seed.isdecimal() or not SEEDS.accepts(int(seed)) or DEPENDS_ON_SEED.search(rest.replace(OWN_OVERRIDES, "")):
        return None
    return hashlib.sha256(rest.encode()).digest()


def find_objective(launcher: "LocalLauncher", overrides: Sequence[str]) -> Objective:
    """Return the objective of a job whose task depends on its data; any if the job cannot work: it will be checked."""
    with suppress(HydraException, ConfigError, BrokenProcessPool):
        [config] = launcher.compose_jobs([overrides])
        with ProcessPoolExecutor(1, mp_context=launcher.context) as executor:
            return executor.submit(objective_of, config).result()
    return ANY_OBJECTIVE


def objective_of(config: DictConfig) -> Objective:
    """Return the objective of a job; any if its data cannot be read."""
    setup_globals()
    try:
        return Objective.from_config(read_data(config)[0])
    except Exception:  # `find_problem` describes it
        return ANY_OBJECTIVE


def check_objective(job: DictConfig, shared: Objective) -> None:
    """Raise a ConfigError if a job has another objective than its sweep, for example from a swept experiment."""
    if job.objective == AUTO:  # known once the data has been read
        return
    own = Objective.from_config(job)
    if own != shared:
        accepted = f"objective={shared.name} objective_mode={shared.mode} in the command, for all jobs"
        problem = f"the sweep ranks its jobs by {shared.name} ({shared.mode})"
        raise config_error("objective", f"{own.name} ({own.mode})", problem, accepted)


def find_problem(config: DictConfig, objective: Objective) -> str:
    """Return why a job cannot work; empty if it can."""
    setup_globals()
    try:
        check_config_parts(config, objective)
    except Exception as error:  # the job would fail with it, whatever it is
        return format_error(error)
    return ""


def read_data(config: DictConfig) -> tuple[DictConfig, str]:
    """Return the config of a job with the task that its data has, and the key of its data in `checked`."""
    from trainyard.config.accepted import remove_unused
    from trainyard.config.composition import resolve
    from trainyard.config.task_option import choose_task
    from trainyard.data.loading.spec import ReportsData, target_kind
    from trainyard.run.compatibility import check_config, check_model_fits_data
    from trainyard.run.run_builder import build_data

    with open_dict(config):
        config.hydra.runtime.output_dir = "."  # nothing is written
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # `set_config` copies it
    cfg = resolve(config)
    remove_unused(cfg)
    check_config(cfg)
    data = repr(cfg.data) + repr(cfg.task)
    if data not in checked:
        source = checked[data] = build_data(cfg)
        if isinstance(source, ReportsData):
            source.check()
    check_model_fits_data(cfg, checked[data])
    choose_task(cfg, target_kind(checked[data]))
    return cfg, data


def check_config_parts(config: DictConfig, objective: Objective) -> None:
    """Raise a ConfigError if the parts of a job do not fit together, or its objective is not that of the sweep.

    Data, models and schedules are built once for all jobs that share them. Nothing is downloaded.
    """
    from trainyard.optim.optimizers import check_optimizer
    from trainyard.run.compatibility import check_validation
    from trainyard.run.run_builder import build_model

    cfg, data = read_data(config)
    check_objective(cfg, objective)
    steps = repr(cfg.optimizer) + repr(cfg.scheduler)
    if steps not in checked:
        check_optimizer(cfg)
        checked[steps] = True
    key = data + "".join(repr(cfg[name]) for name in ("model", "task", "loss", "metrics", "objective"))
    if key not in checked and cfg.model.get("weights") != "pretrained":
        model = build_model(cfg, checked[data])
        check_validation(cfg, model, checked[data])
        check_shapes(model, cfg.run.choices)
        checked[key] = True


def check_shapes(model: Any, choices: Mapping[str, str]) -> None:
    """Raise a ConfigError if a model cannot process its example input; torch's meta device computes only shapes."""
    import torch

    example = model.example_input_array
    if not isinstance(example, torch.Tensor):
        return
    try:
        with torch.no_grad():
            model.to("meta").eval()(example.to("meta"))
    except (RuntimeError, ValueError) as error:
        if "meta" in str(error).lower():  # the network reads a value of a tensor, so it cannot be checked
            return
        shape = "x".join(map(str, example.shape[1:]))
        problem = f"it cannot process inputs of shape {shape} ({str(error).splitlines()[0]})"
        chosen = f"{choices.get('model')} data={choices.get('data')}"
        raise config_error("model", chosen, problem, "fewer or smaller layers, or larger inputs") from error
