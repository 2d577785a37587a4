"""Checks of a config before anything is built: its values, and the arguments of each `_target_`."""

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.config.composition import config_groups, config_values, load_root, walk
from trainyard.config.constraints import Either, ListOf, Number, OneOf, Validator, find_validator, optional, parsed
from trainyard.config.import_path import broken_module
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited

TASK_KEYS = ("kind", "objective", "default")  # of an option of `task`, for the run and not for the task
HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
NAMED_PARTS = ("callbacks", "logger")  # groups in which users choose the names of the keys
SET_BY_RUN = {  # arguments of the Trainer, and the alternatives
    "callbacks": "callbacks=OPTION, or +callbacks.NAME._target_=CLASS",
    "logger": "logger=OPTION, or logger=csv for the table alone",
    "default_root_dir": "hydra.run.dir=PATH",
    "enable_model_summary": "trainyard show model",
}
TYPES: dict[str, Number | OneOf] = {"int": Number(whole=True), "float": Number(), "bool": OneOf((True, False))}
SEQUENCES = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable"}
MAX_BITS = 14_000  # 4215 digits; Python prints at most 4300
PACKAGES = ("trainyard", "hydra_plugins", "torch", "lightning", "timm")  # whose arguments have rules
SEARCH_SPACE = "sweep.params."  # its values are overrides


@cache  # inspecting sixty arguments takes milliseconds, and each job of a sweep needs them
def parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters of a callable by name, and whether it accepts any others.

    `**kwargs` stand for the parameters of the base class; those of classes of other packages may stand for anything.
    """
    names: dict[str, inspect.Parameter] = {}
    accepts_any = False
    layers: list[Any] = [target]
    if isinstance(target, type):
        layers = [vars(cls)["__init__"] for cls in target.__mro__[:-1] if "__init__" in vars(cls)]
    for layer in layers:
        found = list(inspect.signature(layer).parameters.values())
        own = {p.name: p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"}
        names = own | names
        if not any(p.kind is p.VAR_KEYWORD for p in found):
            return names, accepts_any
        accepts_any = accepts_any or not str(getattr(layer, "__module__", "")).startswith("trainyard.")
    return names, True


def validator_of_parameter(parameter: inspect.Parameter) -> Validator | None:
    """Return the validator of a parameter of numbers or booleans, by annotation or default; else `None`."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        annotation = float if type(parameter.default) is int else type(parameter.default)
    words = set(re.findall(r"\w+", inspect.formatannotation(annotation)))
    found: list[Validator] = [validator for name, validator in TYPES.items() if name in words]
    if not found or "str" in words:
        return None
    if words & SEQUENCES:
        found += [ListOf(validator) for validator in found]
    validator = found[0] if len(found) == 1 else Either(tuple(found))
    return optional(validator) if words & {"None", "Optional"} else validator


def convert_text(values: dict[str, Any]) -> None:
    """Convert text in a plain config to a number, boolean, null or list where the key takes one, in place.

    The value of `${oc.env:LR}` is always text. Text that the key does not accept is unchanged; the checks reject it.
    """
    targets = target_paths(walk(values))
    for path, node in walk(values):
        for name, value in node.items() if isinstance(node, dict) else ():
            key = f"{path}.{name}" if path else str(name)
            if key.startswith(SEARCH_SPACE):
                continue
            validator = find_validator(key) if has_constraints(key, targets) else None
            if validator := validator or validator_of_argument(node, name):
                node[name] = validator.convert(value)


def target_paths(nodes: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return the `_target_` of each node that has one, by its dotted path; that of `loss=auto` is null."""
    mappings = ((path, node) for path, node in nodes if isinstance(node, Mapping | DictConfig))
    return {path: str(node["_target_"]) for path, node in mappings if node.get("_target_") is not None}


def has_constraints(key: str, targets: Mapping[str, str]) -> bool:
    """Return whether the rules of `config.constraints` apply to a key: not in a node that builds a user's object."""
    while key and key not in targets:
        key = key.rpartition(".")[0]
    return targets.get(key, PACKAGES[0]).partition(".")[0] in PACKAGES


def validator_of_argument(values: dict[str, Any], name: str) -> Validator | None:
    """Return the validator of an argument of a `_target_`, if its value is text that stands for another value."""
    value = values[name]
    texts = value if isinstance(value, list) else [value]
    if "_target_" not in values or not any(text != parsed(text) for text in texts):
        return None
    with suppress(ImportError, AttributeError, ValueError, TypeError):  # `check_arguments` reports invalid targets
        parameter = parameters(pkgutil.resolve_name(values["_target_"]))[0].get(name)
        return validator_of_parameter(parameter) if parameter else None
    return None


def check_integers(values: dict[str, Any]) -> None:
    """Raise a ConfigError for an integer in a plain config that Python cannot print, such as a long hexadecimal one."""
    for path, value in walk(values):
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise config_error(path, hex(value), f"a number of {value.bit_length()} bits", f"at most {MAX_BITS}")


def check_ranges(cfg: DictConfig) -> None:
    """Raise a ConfigError for the first value that its key does not accept."""
    values = [*config_values(cfg, nodes=True)]
    targets = target_paths(values)  # `check_arguments` checks these nodes
    for path, value in values:
        if path in targets or path.startswith(SEARCH_SPACE) or not has_constraints(path, targets):
            continue
        if (validator := find_validator(path)) and not validator.accepts(value):
            raise config_error(path, value, f"must be {validator}")


def check_arguments(cfg: DictConfig, classes: Mapping[str, type] | None = None) -> None:
    """Raise a ConfigError for a `_target_` that cannot be imported, and for an argument that it does not accept.

    Args:
        cfg: with nodes to build.
        classes: required base classes, by the path of the node.
    """
    check_named_parts(cfg)
    for path, node in config_values(cfg, nodes=True):
        if not isinstance(node, DictConfig) or "_target_" not in node:
            continue
        if path == "loss" and node._target_ is None:  # that of the task
            continue
        target = import_target(path, node, (classes or {}).get(path, object))
        names, any_name = parameters(target)
        for key in map(str, node):
            if path == "trainer" and key in SET_BY_RUN:
                raise config_error(f"{path}.{key}", node[key], "set by the run", SET_BY_RUN[key])
            if path == "task" and key in TASK_KEYS:
                continue
            if key not in names and key not in HYDRA_KEYS and not any_name:
                known = sorted(names)
                problem = f"{node._target_} has no such argument{did_you_mean(key, known)}"
                raise config_error(f"{path}.{key}", node[key], problem, join_limited(known))
            annotated = key in names and names[key].annotation is not inspect.Parameter.empty
            if annotated and isinstance(node[key], str) and (validator := validator_of_parameter(names[key])):
                raise config_error(f"{path}.{key}", node[key], f"must be {validator}")


def import_target(path: str, node: DictConfig, base: type) -> Callable[..., Any]:
    """Import the `_target_` of a node; raise a ConfigError if it does not exist or is a class of another kind."""
    try:
        target = pkgutil.resolve_name(node._target_)
    except Exception as error:  # also those of the user's module
        reason = broken_module(str(node._target_)) or (str(error).splitlines() or ["no name"])[0]
        accepted = "the dotted name of a class or function"
        if isinstance(error, ModuleNotFoundError):
            accepted += "; for a module in another folder: PYTHONPATH=FOLDER before the command"
        raise config_error(f"{path}._target_", node._target_, reason, accepted) from error
    if isinstance(target, type) and not issubclass(target, base):
        raise config_error(f"{path}._target_", node._target_, f"is not a {base.__name__}", f"a class of {path}")
    return target  # type: ignore[no-any-return]


def check_named_parts(cfg: DictConfig) -> None:
    """Raise a ConfigError for a callback or a logger without `_target_`."""
    for group in NAMED_PARTS:
        for name, part in (cfg.get(group) or {}).items():
            if part is not None and not (isinstance(part, DictConfig) and "_target_" in part):
                accepted = f"null to remove it, or +{group}.{name}._target_=CLASS"
                raise config_error(f"{group}.{name}", part, "has no _target_", accepted)


def check_additions(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raise a ConfigError for a key behind `+` that has no effect.

    A key has one if it is an argument of its `_target_` (see `check_arguments`), a key of `train.yaml`, a config
    group, or a callback or logger.
    """
    top = load_root()
    for override in (word for word in overrides if word.startswith("+")):
        head = override.lstrip("+").partition("=")[0]
        path = head.partition("@")[2].rpartition(":")[2] or head
        parent, _, name = path.rpartition(".")
        first = path.split(".")[0]
        if "/" in path or first in NAMED_PARTS:
            continue
        known = sorted({*map(str, top), *config_groups()} - {"defaults"})
        if first not in known:
            problem = f"unknown key {first}{did_you_mean(first, known)}"
            raise ConfigError(f"{override}: {problem}\n  accepted: {join_limited(known)}")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        if parent and "_target_" not in node and OmegaConf.select(top, path) is None:
            siblings = [key for key in node if key != name]
            problem = f"unknown key {name} in {parent}{did_you_mean(name, siblings)}"
            raise ConfigError(f"{override}: {problem}\n  accepted: {join_limited(siblings)}")
