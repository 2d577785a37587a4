"""The config of a stored run, to test, resume or reproduce it; the directory may come from someone else."""

import argparse
import copy
import shlex
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from trainyard.config.arguments import check_ranges, parameters
from trainyard.config.composition import config_values
from trainyard.config.format_error import as_single_value
from trainyard.config.trusted import NOT_BUILT, check_stored
from trainyard.config.trusted_paths import check_training, use_own_caches
from trainyard.history.find_run import find_run
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import config_error, did_you_mean
from trainyard.io.files import relative

if TYPE_CHECKING:
    from trainyard.run.run_result import RunResult

TEST_KEYS = ("data", "trainer", "augment")  # groups whose values a test may override
TEST_ACCEPTED = "data.KEY=VALUE, trainer.accelerator=cpu, trainer.precision=32-true, and augment.KEY=VALUE for --tta"
RESUME = "resume"
RESUME_KEYS = ("trainer", "checkpoint", "callbacks", "logger", "on_nan")
RESUME_ACCEPTED = "values of trainer, checkpoint, callbacks, logger and on_nan, such as trainer.max_epochs=50"
DAMAGED = "its config.yaml is missing or damaged"
FILE_LOGGERS = ("tensorboard", "csv")
MOVED = {  # modules whose classes older configs name
    f"trainyard.tasks.{module}.": f"trainyard.reports.{module}." for module in ("layer_figures", "validation_figures")
}


def config_to_test(run: StoredRun, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with overrides, for testing its model.

    Nothing is instantiated. Every `_target_` is of an allowed kind and package (see `trainyard.config.trusted`), or of
    a `trusted` package. There are no interpolations, which could read the environment.
    """
    stored = with_present_names(run.config)
    if "seed" not in stored or not all(isinstance(stored.get(key), dict) for key in ("data", "trainer", "run")):
        raise config_error("RUN", run.name, DAMAGED, "a directory that train.py wrote")
    check_stored(stored, trusted, NOT_BUILT)
    cfg: DictConfig = OmegaConf.create({key: part for key, part in stored.items() if key not in NOT_BUILT})
    for word in overrides:
        override = parse_assignment(word, "override", TEST_ACCEPTED)
        key = override.key_or_group
        root = key.partition(".")[0]
        if root == "trusted_packages":
            problem = "only allowed as an option, so that no file can set it"
            raise config_error("override", word, problem, "--trusted-packages NAME")
        if root not in TEST_KEYS or "." not in key:
            options = [path for path, _ in config_values(cfg) if path.startswith(TEST_KEYS) and path.endswith(key)]
            near = did_you_mean(key, options) or (f"; did you mean {options[0]}?" if options else "")
            problem = f"not used by a trained model{near}"
            raise config_error(key, override.get_value_element_as_str(), problem, TEST_ACCEPTED)
        apply_override(cfg, override, TEST_ACCEPTED)
    check_ranges(OmegaConf.masked_copy(cfg, [key for key in TEST_KEYS if key in cfg]))
    return cfg


def asks_to_resume(words: Sequence[str]) -> bool:
    """Return whether a command line resumes a run."""
    return any(word.startswith(f"{RESUME}=") for word in words)


def resume(words: Sequence[str]) -> "RunResult":
    """Resume training of a run in its directory: `python train.py resume=RUN OVERRIDES --trusted-packages NAME`."""
    parser = argparse.ArgumentParser(prog="train.py resume=RUN", allow_abbrev=False)
    parser.add_argument("words", nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--trusted-packages", action="append", default=[], metavar="NAME")
    arguments = parser.parse_intermixed_args(words)
    name = next(word for word in arguments.words if asks_to_resume([word])).partition("=")[2]
    overrides = [word for word in arguments.words if not asks_to_resume([word])]
    cfg = config_to_resume(find_run(name), overrides, arguments.trusted_packages)
    from trainyard.run.training import train

    return train(cfg, resume=True)


def config_to_resume(run: StoredRun, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with overrides, for resuming it, checked as described in `check_training`."""
    if not run.run_config or run.invalid_keys or is_truncated(run):
        raise config_error(RESUME, run.name, DAMAGED, "a directory that train.py wrote")
    if run.status == "completed" and not overrides:
        problem = f"is completed, after {run.result.get('epochs')} epochs"
        raise config_error(RESUME, run.name, problem, "with trainer.max_epochs=N to train longer")
    moved = Path(str(run.run_config.get("dir"))).resolve() != run.folder.resolve()
    stored = run.config_moved_to(relative(run.folder)) if moved else run.config
    if moved:
        stored["run"]["dir"] = relative(run.folder)
    stored = with_present_names(stored)
    use_own_caches(stored)
    parsed = [parse_assignment(word, RESUME, RESUME_ACCEPTED) for word in overrides]
    check_training(without_overridden(stored, parsed), run.folder, trusted)
    cfg: DictConfig = OmegaConf.create(stored)
    for override in parsed:
        key = override.key_or_group
        if key.partition(".")[0] not in RESUME_KEYS:
            problem = "model, data, optimizer and schedule of a run cannot change"
            raise config_error(key, override.get_value_element_as_str(), problem, RESUME_ACCEPTED)
        apply_override(cfg, override, RESUME_ACCEPTED)
    return cfg


def config_to_reproduce(run: StoredRun, folder: Path) -> dict[str, Any]:
    """Return the config of a run for a new directory, without pruning and without loggers on servers."""
    config = run.config_moved_to(str(folder))
    if isinstance(config.get("sweep"), dict):
        config["sweep"]["pruner"] = "none"
    if files := {name: part for name, part in (config.get("logger") or {}).items() if name in FILE_LOGGERS}:
        config["logger"] = files
    use_own_caches(config)
    return config


def with_present_names(config: dict[str, Any]) -> dict[str, Any]:
    """Return a stored config that names callbacks whose modules have been moved since it was written as they are now.

    The code of the run's own commit needs the names that the config has.
    """
    renamed = copy.deepcopy(config)
    callbacks = renamed.get("callbacks")
    for part in callbacks.values() if isinstance(callbacks, dict) else ():
        if isinstance(part, dict) and isinstance(name := part.get("_target_"), str):
            old = next((old for old in MOVED if name.startswith(old)), "")
            part["_target_"] = MOVED.get(old, old) + name.removeprefix(old)
    return renamed


def is_truncated(run: StoredRun) -> bool:
    """Return whether the end of a config.yaml is missing: it would be valid YAML, but of another run."""
    sweep = run.config.get("sweep")  # the last group; its last key is `sampler`
    return not isinstance(sweep, dict) or "sampler" not in sweep


def without_overridden(stored: dict[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Return a stored config without the values that the user overrides, which need no check."""
    rest = copy.deepcopy(stored)
    for override in overrides:
        *parents, last = override.key_or_group.split(".")
        node: Any = rest
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict) and not isinstance(override.value(), dict):  # dicts are merged
            node.pop(last, None)
    return rest


def parse_assignment(word: str, key: str, accepted: str) -> Override:
    """Parse an override that sets one value; raise a ConfigError about `key` for any other word."""
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        argument = as_single_value(word)
        problem = "a value with these characters needs quotes" if argument else str(error).splitlines()[0]
        raise config_error(key, word, problem, shlex.quote(argument) if argument else accepted) from error
    if override.is_delete() or override.is_sweep_override():
        argument = as_single_value(word) if override.is_sweep_override() else ""
        raise config_error(key, word, "neither a sweep nor a deletion", shlex.quote(argument) if argument else accepted)
    return override


def unset_arguments(cfg: DictConfig, path: str) -> list[str]:
    """Return the dotted paths of all arguments of the `_target_` of a node, which has been checked."""
    node = OmegaConf.select(cfg, path)
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return []
    return [f"{path}.{name}" for name in parameters(resolve_name(node._target_))[0]]


def apply_override(cfg: DictConfig, override: Override, accepted: str) -> None:
    """Set the value of an override; raise a ConfigError for an unknown key, unless `+` adds it."""
    key = override.key_or_group
    known = {*(path for path, _ in config_values(cfg)), *unset_arguments(cfg, key.rpartition(".")[0])}
    if key not in known and not override.is_add() and OmegaConf.select(cfg, key) is None:
        problem = f"the stored config has no such key{did_you_mean(key, known)}"
        raise config_error(key, override.get_value_element_as_str(), problem, accepted)
    OmegaConf.update(cfg, key, override.value(), force_add=True)
