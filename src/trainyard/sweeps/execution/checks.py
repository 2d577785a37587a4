"""Checks of all jobs of a sweep before the first one starts."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, open_dict

from trainyard.io.errors import ConfigError
from trainyard.sweeps.job import Job

if TYPE_CHECKING:
    from hydra_plugins.trainyard.launchers import LocalLauncher
    from trainyard.sweeps.sweep import Sweep


def check_jobs(launcher: "LocalLauncher", sweep: "Sweep", *overrides: str) -> None:
    """Raise a ConfigError if jobs of a sweep cannot work; `overrides` are added to those of each job."""
    jobs = sweep.examples
    problems = launcher.find_problems([[*sweep.overrides(job), *overrides] for job in jobs])
    raise_problems(problems, jobs, sweep.axes)


def raise_problems(problems: Mapping[int, str], jobs: Sequence[Job], axes: Sequence[str]) -> None:
    """Raise one ConfigError for all jobs that cannot work, grouped by problem; keys are indices of jobs."""
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


def find_problems(configs: Iterable[tuple[int, DictConfig]], context: Any) -> dict[int, str]:
    """Return the problem of each job that cannot work, given index and config of each.

    The checks run in another process, since they need torch and the data.
    """
    connection, remote = context.Pipe()
    process = context.Process(target=serve_checks, args=(remote,), daemon=True)
    process.start()
    remote.close()
    problems = {}
    try:
        for index, config in configs:
            try:
                connection.send(config)
                problem = connection.recv()
            except (EOFError, OSError):
                problems[index] = "the process that checks it has crashed, in the code of its data or model"
                break
            if problem:
                problems[index] = problem
    finally:
        connection.close()
        process.join()
    return problems


def serve_checks(connection: Connection) -> None:
    """Answer each config with its problem, or with an empty text, until the connection is closed."""
    from trainyard.config.format_error import format_error

    setup_globals()
    checked: dict[str, Any] = {}
    with suppress(EOFError, OSError):
        while True:
            config = connection.recv()
            try:
                check_config_parts(config, checked)
                connection.send("")
            except Exception as error:  # whatever it is, the job would fail with it
                connection.send(format_error(error))


def check_config_parts(config: DictConfig, checked: dict[str, Any]) -> None:
    """Raise a ConfigError if the parts of a job do not fit together.

    Data, models and schedules are built once for all jobs that share them, as `checked` stores. Nothing is downloaded.
    """
    from trainyard.config.composition import instantiate, resolved
    from trainyard.data.loading.splits import check_splits_not_empty
    from trainyard.optim.optimizers import check_optimizer
    from trainyard.run.compatibility import check_config, check_model_fits_data

    with open_dict(config):
        config.hydra.runtime.output_dir = "."  # nothing is written
    HydraConfig.instance().set_config(config)
    cfg = resolved(config)
    check_config(cfg)
    data = repr(cfg.data)
    if data not in checked:
        source = instantiate(cfg.data, order_seed=0)
        check_splits_not_empty(source.splits)
        checked[data] = source.spec
    check_model_fits_data(cfg, checked[data])
    steps = repr(cfg.optimizer) + repr(cfg.scheduler)
    if steps not in checked:
        check_optimizer(cfg)
        checked[steps] = True
    model = data + repr(cfg.model)
    if model not in checked and cfg.model.get("weights") != "pretrained":
        instantiate(cfg.model, spec=checked[data])
        checked[model] = True
