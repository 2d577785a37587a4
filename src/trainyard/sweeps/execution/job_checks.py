"""Checks of the config of one job, in a process that has imported torch."""

from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from trainyard.config.arguments import check_additions, check_arguments, check_ranges
from trainyard.config.format_error import format_error
from trainyard.config.objective import AUTO, Objective
from trainyard.io.errors import config_error
from trainyard.sweeps.execution.job_parts import STEPS

checked: dict[str, Any] = {}  # parts that this process has checked, by their config; for data, its spec


def objective_of(config: DictConfig) -> Objective | None:
    """Return the objective of a job; `None` if its data cannot be read."""
    setup_globals()
    try:
        return Objective.from_config(read_data(config)[0])
    except Exception:  # `find_problem` describes it
        return None


def check_objective(job: DictConfig, shared: Objective | None) -> None:
    """Raise a ConfigError if a job has another objective than its sweep, for example from a swept experiment."""
    if shared is None or job.objective == AUTO:  # known once the data has been read
        return
    own = Objective.from_config(job)
    if own != shared:
        accepted = f"objective={shared.name} objective_mode={shared.mode} in the command, for all jobs"
        problem = f"the sweep ranks its jobs by {shared.name} ({shared.mode})"
        raise config_error("objective", f"{own.name} ({own.mode})", problem, accepted)


def find_problem(config: DictConfig, objective: Objective | None) -> str:
    """Return why a job cannot work; empty if it can."""
    setup_globals()
    try:
        check_config_parts(config, objective)
    except Exception as error:  # the job would fail with it, whatever it is
        return format_error(error)
    return ""


def find_steps_problem(config: DictConfig, objective: Objective | None) -> str:
    """Return why a job cannot work whose optimizer or schedule alone differs from those of one that can."""
    from trainyard.config.accepted import is_override_of
    from trainyard.config.composition import resolve
    from trainyard.optim.optimizers import check_optimizer
    from trainyard.run.compatibility import check_missing

    setup_globals()
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # `set_config` copies it
    try:
        cfg = resolve(OmegaConf.masked_copy(config, [*STEPS, "run"]))
        check_missing(cfg)
        check_ranges(cfg)
        check_additions(cfg, [word for word in cfg.run.overrides if any(is_override_of(word, name) for name in STEPS)])
        check_arguments(cfg)
        check_optimizer(cfg)
    except Exception as error:
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


def check_config_parts(config: DictConfig, objective: Objective | None) -> None:
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
