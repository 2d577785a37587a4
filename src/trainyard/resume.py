"""`python train.py resume=RUN`: a run goes on in its directory, whatever ended it."""

import argparse
import copy
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.config import leaves
from trainyard.errors import did_you_mean, reject
from trainyard.files import relative
from trainyard.quoting import parse_single
from trainyard.stored.config import UNBUILT
from trainyard.stored.find_run import find_run
from trainyard.stored.paths import check_download, check_paths, use_own_caches
from trainyard.stored.run import StoredRun
from trainyard.stored.trusted import DATA, check_stored, check_target, foreign_packages
from trainyard.terminal.invocation import train_command

KEY = "resume"
CHANGEABLE = ("trainer", "checkpoint", "callbacks", "logger", "on_nan")
ACCEPTED = "values of trainer, checkpoint, callbacks, logger and on_nan, such as trainer.max_epochs=50"


def asks_to_resume(words: Sequence[str]) -> bool:
    """Whether a command line names a run that is to go on."""
    return any(word.startswith(f"{KEY}=") for word in words)


def resume_command(folder: Path) -> str:
    """Return the command that resumes a run in outputs/runs, for this shell."""
    names = foreign_packages(StoredRun(folder).config)
    words = [f"{KEY}={folder.name}", *(word for name in names for word in ("--trusted-packages", name))]
    path = os.environ.get("PYTHONPATH", "") if names else ""
    return f"{f'PYTHONPATH={shlex.quote(path)} ' if path else ''}{train_command(*words)}"


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
    parser.add_argument("--trusted-packages", action="append", default=[], metavar="NAME")
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
    if not run.own or run.unreadable or is_cut(run):
        raise reject(KEY, run.name, "its config.yaml is missing or damaged", "a directory that train.py wrote")
    if run.status == "completed" and not changes:
        problem = f"it is completed, after {run.result.get('epochs')} epochs"
        raise reject(KEY, run.name, problem, "with trainer.max_epochs=N to train on")
    moved = Path(str(run.own.get("dir"))).resolve() != run.folder.resolve()
    stored = run.config_in(relative(run.folder)) if moved else run.config
    if moved:
        stored["run"]["dir"] = relative(run.folder)
    use_own_caches(stored)
    check_training(without_typed(stored, changes), run.folder, trusted)
    cfg: DictConfig = OmegaConf.create(stored)
    for word in changes:
        change(cfg, word)
    return cfg


def is_cut(run: StoredRun) -> bool:
    """Whether the end of a config.yaml is missing: without it, it is YAML too, but of another run."""
    sweep = run.config.get("sweep")  # the last group; its last key is `sampler`
    return not isinstance(sweep, dict) or "sampler" not in sweep


def check_training(stored: dict[str, Any], folder: Path, trusted: Sequence[str] = ()) -> None:
    """Raise a ConfigError unless a stored config may be trained in a directory: what it builds, and where it writes."""
    check_stored(stored, trusted, UNBUILT)
    check_paths(stored, folder)
    data = stored.get("data")
    if not isinstance(data, dict):
        raise reject("data", data, "not a data module", "a config.yaml that train.py wrote")
    check_download(data, check_target("data._target_", data.get("_target_"), DATA, trusted))


def without_typed(stored: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return a stored config without the values that are overridden now: what the user types is not checked."""
    left = copy.deepcopy(stored)
    for word in changes:
        override = parse_single(word, KEY, ACCEPTED)
        *parents, last = override.key_or_group.split(".")
        node: Any = left
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict) and not isinstance(override.value(), dict):  # dicts are merged
            node.pop(last, None)
    return left


def change(cfg: DictConfig, word: str) -> None:
    """Put one typed value in its place."""
    override = parse_single(word, KEY, ACCEPTED)
    key, text = override.key_or_group, override.get_value_element_as_str()
    if key.partition(".")[0] not in CHANGEABLE:
        problem = "a run that goes on keeps its model, data, optimizer and schedule"
        raise reject(key, text, problem, ACCEPTED)
    known = {path for path, _ in leaves(cfg)}
    if key not in known and not override.is_add() and OmegaConf.select(cfg, key) is None:
        raise reject(key, text, f"the run has no such key{did_you_mean(key, known)}", ACCEPTED)
    OmegaConf.update(cfg, key, override.value(), force_add=True)
