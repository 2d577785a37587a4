"""Checks of a sweep before its first job starts: the sweep's own options, then the config and network of every job."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.arguments import check_arguments, check_ranges, convert_text
from trainyard.config.format_error import format_error
from trainyard.config.objective import AUTO, Objective
from trainyard.io.errors import ConfigError, config_error
from trainyard.sweeps.job import Job

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher

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

    The parts of the jobs are checked in another process, since they need torch and the data.
    """
    problems = {}
    for index, overrides in enumerate(job_overrides):  # while that process imports torch
        try:
            check_objective(launcher.compose(overrides), objective)
        except (HydraException, ConfigError) as error:
            problems[index] = format_error(error)
    if problems:
        return problems
    with ProcessPoolExecutor(1, mp_context=launcher.context) as executor:
        for index, config in enumerate(launcher.compose_jobs(job_overrides)):
            try:
                problem = executor.submit(find_problem, config, objective).result()
            except BrokenProcessPool:
                problems[index] = "the process that checks it has crashed, in the code of its data or model"
                break
            if problem:
                problems[index] = problem
    return problems


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
    HydraConfig.instance().set_config(config)
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
