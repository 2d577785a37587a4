"""Whether every job of a sweep can work, before the first begins."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig, open_dict

from trainyard.errors import ConfigError
from trainyard.sweeps.job import Job


def impossible(configs: Iterable[tuple[int, DictConfig]], context: Any) -> dict[int, str]:
    """Return why a job cannot work, by its number, for all that cannot.

    A process of its own looks at them, since that takes what a run takes: torch, and the data.

    Args:
        configs: number and config of each job, composed one after the other.
        context: of multiprocessing.
    """
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(there,), daemon=True)
    process.start()
    there.close()
    found = {}
    try:
        for number, config in configs:
            try:
                here.send(config)
                problem = here.recv()
            except (EOFError, OSError):
                found[number] = "the process that checks it is gone: its data or its model ends Python"
                break
            if problem:
                found[number] = problem
    finally:
        here.close()
        process.join()
    return found


def answer(connection: Connection) -> None:
    """Say of each config that arrives what is wrong with it, or nothing."""
    from trainyard.complaints import complaint

    setup_globals()
    looked_at: dict[str, Any] = {}
    with suppress(EOFError, OSError):  # when there are no more
        while True:
            config = connection.recv()
            try:
                check(config, looked_at)
                connection.send("")
            except Exception as error:  # what goes wrong here would when the job runs
                connection.send(complaint(error))


def check(config: DictConfig, looked_at: dict[str, Any]) -> None:
    """Raise a ConfigError where the parts of a job do not fit each other.

    Data is read once for all jobs that share it, and a model built once for all that share it on the same data; one
    that would be downloaded is not built.
    """
    from trainyard.compatibility import check_config, check_model_fits_data
    from trainyard.config import instantiate
    from trainyard.data.loading.splits import check_splits_not_empty
    from trainyard.optim.optimizers import check_optimizer

    cfg = plain(config)
    check_config(cfg)
    data = repr(cfg.data)
    if data not in looked_at:
        source = instantiate(cfg.data, order_seed=0)
        check_splits_not_empty(source.splits)
        looked_at[data] = source.spec
    check_model_fits_data(cfg, looked_at[data])
    steps = repr(cfg.optimizer) + repr(cfg.scheduler)
    if steps not in looked_at:
        check_optimizer(cfg)
        looked_at[steps] = True
    both = data + repr(cfg.model)
    if both not in looked_at and cfg.model.get("weights") != "pretrained":
        instantiate(cfg.model, spec=looked_at[data])
        looked_at[both] = True


def plain(config: DictConfig) -> DictConfig:
    """Return what a job is a function of, where nothing is to be written."""
    from trainyard.config import resolved

    with open_dict(config):
        config.hydra.runtime.output_dir = "."
    HydraConfig.instance().set_config(config)
    return resolved(config)


def refuse(impossible: dict[int, str], jobs: Sequence[Job], axes: Sequence[str]) -> None:
    """Raise one error that names all jobs that cannot work, with their reason."""
    if not impossible:
        return
    causes: dict[str, list[int]] = {}
    for place, cause in impossible.items():
        causes.setdefault(cause, []).append(place)
    lines = [f"{len(impossible)} of {len(jobs)} jobs cannot work; none was started"]
    for cause, places in causes.items():
        names = "; ".join(f"#{jobs[place].number} {jobs[place].varying(axes)}" for place in places[:5])
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        lines.append(f"{names}{more}\n  {cause}")
    raise ConfigError("\n".join(lines))
