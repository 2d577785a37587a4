"""`python train.py resume=RUN`: a run goes on in its directory, whatever ended it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from trainyard.config import leaves
from trainyard.errors import did_you_mean, reject
from trainyard.files import relative
from trainyard.stored.config import check
from trainyard.stored.find_run import find_run
from trainyard.stored.run import StoredRun

KEY = "resume"
CHANGEABLE = ("trainer", "checkpoint", "callbacks", "logger", "on_nan")
ACCEPTED = "values of trainer, checkpoint, callbacks, logger and on_nan, such as trainer.max_epochs=50"


def asks_to_resume(words: Sequence[str]) -> bool:
    """Whether a command line names a run that is to go on."""
    return any(word.startswith(f"{KEY}=") for word in words)


def resume(words: Sequence[str]) -> float:
    """Train on a run that was typed as `resume=RUN`, in its directory.

    Args:
        words: `resume=RUN`, values that may be other than before, and `--trusted-packages NAME`.

    Returns:
        The best validation score.

    Raises:
        ConfigError: there is no such run, it is completed, or something else is to be changed.
    """
    parser = argparse.ArgumentParser(prog="train.py resume=RUN", allow_abbrev=False)
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--trusted-packages", nargs="+", default=[], metavar="NAME")
    typed = parser.parse_intermixed_args(words)
    name = next(word for word in typed.words if word.startswith(f"{KEY}=")).partition("=")[2]
    changes = [word for word in typed.words if not word.startswith(f"{KEY}=")]
    cfg = config_to_resume(find_run(name), changes, typed.trusted_packages)
    from trainyard.training import train

    return train(cfg, resume=True)


def config_to_resume(run: StoredRun, changes: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with what is to be other from now on.

    Raises:
        ConfigError: it is damaged, completed, names what a stored one may not, or a change does not fit.
    """
    if not run.own:
        raise reject(KEY, run.name, "its config.yaml is missing or damaged", "a directory that train.py wrote")
    if run.status == "completed" and not changes:
        problem = f"it is completed, after {run.result.get('epochs')} epochs"
        raise reject(KEY, run.name, problem, "with trainer.max_epochs=N to train on")
    moved = Path(str(run.own.get("dir"))).resolve() != run.folder.resolve()
    stored = run.config_in(relative(run.folder)) if moved else run.config
    check({key: part for key, part in stored.items() if key != "sweep"}, trusted)  # which a job does not build
    cfg: DictConfig = OmegaConf.create(stored)
    for word in changes:
        change(cfg, word)
    return cfg


def change(cfg: DictConfig, word: str) -> None:
    """Put one typed value in its place."""
    override = parsed(word)
    key, text = override.key_or_group, override.get_value_element_as_str()
    if key.partition(".")[0] not in CHANGEABLE:
        problem = "a run that goes on keeps its model, data, optimizer and schedule"
        raise reject(key, text, problem, ACCEPTED)
    known = {path for path, _ in leaves(cfg)}
    if key not in known and not override.is_add() and OmegaConf.select(cfg, key) is None:
        raise reject(key, text, f"the run has no such key{did_you_mean(key, known)}", ACCEPTED)
    OmegaConf.update(cfg, key, override.value(), force_add=True)


def parsed(word: str) -> Override:
    """Return an override that is neither a sweep nor a deletion."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise reject(KEY, word, str(error).splitlines()[0], ACCEPTED) from error
    if override.is_delete() or override.is_sweep_override():
        raise reject(KEY, word, "neither a sweep nor a deletion", ACCEPTED)
    return override
