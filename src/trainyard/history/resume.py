"""`python train.py resume=RUN`: continues a run in its directory."""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from trainyard.config.override_syntax import parse_single
from trainyard.config.trusted_paths import check_training, use_own_caches
from trainyard.history.find_run import find_run
from trainyard.history.stored_config import apply_override
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import config_error
from trainyard.io.files import relative

if TYPE_CHECKING:
    from trainyard.run.run_result import RunResult

KEY = "resume"
CHANGEABLE = ("trainer", "checkpoint", "callbacks", "logger", "on_nan")
ACCEPTED = "values of trainer, checkpoint, callbacks, logger and on_nan, such as trainer.max_epochs=50"


def asks_to_resume(words: Sequence[str]) -> bool:
    """Return whether a command line resumes a run."""
    return any(word.startswith(f"{KEY}=") for word in words)


def resume(words: Sequence[str]) -> "RunResult":
    """Resume training of a run in its directory.

    Args:
        words: `resume=RUN`, overrides, and `--trusted-packages NAME`.

    Raises:
        ConfigError: there is no such run, it is completed, or an override is not allowed.
    """
    parser = argparse.ArgumentParser(prog="train.py resume=RUN", allow_abbrev=False)
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--trusted-packages", action="append", default=[], metavar="NAME")
    typed = parser.parse_intermixed_args(words)
    name = next(word for word in typed.words if word.startswith(f"{KEY}=")).partition("=")[2]
    changes = [word for word in typed.words if not word.startswith(f"{KEY}=")]
    cfg = config_to_resume(find_run(name), changes, typed.trusted_packages)
    from trainyard.run.training import train

    return train(cfg, resume=True)


def config_to_resume(run: StoredRun, changes: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with overrides.

    Raises:
        ConfigError: the config is damaged or contains something forbidden, the run is completed, or an override does
            not fit.
    """
    if not run.own or run.unreadable or is_truncated(run):
        raise config_error(KEY, run.name, "its config.yaml is missing or damaged", "a directory that train.py wrote")
    if run.status == "completed" and not changes:
        problem = f"it is completed, after {run.result.get('epochs')} epochs"
        raise config_error(KEY, run.name, problem, "with trainer.max_epochs=N to train on")
    moved = Path(str(run.own.get("dir"))).resolve() != run.folder.resolve()
    stored = run.config_in(relative(run.folder)) if moved else run.config
    if moved:
        stored["run"]["dir"] = relative(run.folder)
    use_own_caches(stored)
    check_training(without_overridden(stored, changes), run.folder, trusted)
    cfg: DictConfig = OmegaConf.create(stored)
    for word in changes:
        override = parse_single(word, KEY, ACCEPTED)
        key = override.key_or_group
        if key.partition(".")[0] not in CHANGEABLE:
            problem = "model, data, optimizer and schedule of a run cannot change"
            raise config_error(key, override.get_value_element_as_str(), problem, ACCEPTED)
        apply_override(cfg, override, ACCEPTED)
    return cfg


def is_truncated(run: StoredRun) -> bool:
    """Return whether the end of a config.yaml is missing: it would be valid YAML, but of another run."""
    sweep = run.config.get("sweep")  # the last group; its last key is `sampler`
    return not isinstance(sweep, dict) or "sampler" not in sweep


def without_overridden(stored: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return a stored config without the values that are overridden: what the user types is not checked."""
    rest = copy.deepcopy(stored)
    for word in changes:
        override = parse_single(word, KEY, ACCEPTED)
        *parents, last = override.key_or_group.split(".")
        node: Any = rest
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict) and not isinstance(override.value(), dict):  # dicts are merged
            node.pop(last, None)
    return rest
