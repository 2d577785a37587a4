"""Whether the keys of a config are arguments that their `_target_` takes, checked before anything is built."""

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.config.composition import CONF_DIR, CONFIG_NAME
from trainyard.config.validators import Each, Either, Kind, Number, OneOf, Optional
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited

HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_", "_args_")
# Groups whose keys are names that a person is free to choose.
NAMED_PARTS = ("callbacks", "logger")


# What a run gives to its Trainer, and what is typed instead.
SET_BY_RUN = {
    "callbacks": "callbacks=OPTION, or +callbacks.NAME._target_=CLASS",
    "logger": "logger=OPTION, or logger=csv for the table alone",
    "default_root_dir": "hydra.run.dir=PATH",
    "enable_model_summary": "trainyard show model",
}

TYPES: dict[str, Number | OneOf] = {"int": Number(whole=True), "float": Number(), "bool": OneOf((True, False))}
SEQUENCES = {"list", "List", "tuple", "Tuple", "Sequence", "Iterable"}


@cache  # a signature of sixty arguments takes milliseconds, and a sweep asks for it in each job
def parameters(target: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters of a callable by name, and whether it takes any others too.

    `**options` that a class hands to its base stand for the arguments of that base.
    """
    names: dict[str, inspect.Parameter] = {}
    layers: list[Any] = [target]
    if isinstance(target, type):
        layers = [vars(cls).get("__init__") for cls in target.__mro__[:-1]]
    for layer in filter(None, layers):
        found = list(inspect.signature(layer).parameters.values())
        own = {p.name: p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"}
        names = own | names
        if not any(p.kind is p.VAR_KEYWORD for p in found):
            return names, False
    return names, True


def has_backbone(cfg: DictConfig) -> bool:
    """Whether the model has pretrained layers that `finetune` can freeze and unfreeze."""
    return "finetune" in parameters(pkgutil.resolve_name(cfg.model._target_))[0]


def kind_of(parameter: inspect.Parameter) -> Kind | None:
    """Return the kind of values of a parameter of numbers or booleans, by its annotation, or else by its default.

    `None` for other types, and where text is accepted beside.
    """
    annotation = parameter.annotation
    if annotation is parameter.empty:
        annotation = float if type(parameter.default) is int else type(parameter.default)
    words = set(re.findall(r"\w+", inspect.formatannotation(annotation)))
    kinds: list[Kind] = [kind for name, kind in TYPES.items() if name in words]
    if not kinds or "str" in words:
        return None
    if words & SEQUENCES:
        kinds += [Each(kind) for kind in kinds]
    kind = kinds[0] if len(kinds) == 1 else Either(tuple(kinds))
    return Optional(kind) if words & {"None", "Optional"} else kind


def targets(node: DictConfig, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Yield every node that has a `_target_`, with its dotted path."""
    if "_target_" in node:
        yield path, node
    for name in map(str, node):
        if isinstance(node[name], DictConfig):
            yield from targets(node[name], f"{path}.{name}" if path else name)


def check_arguments(cfg: DictConfig, kinds: Mapping[str, type] | None = None) -> None:
    """Raise a ConfigError for a `_target_` that cannot be imported or a key that it does not take.

    Args:
        cfg: what is to be built.
        kinds: what the class at a path must be, where it is a class.
    """
    check_named_parts(cfg)
    for path, node in targets(cfg):
        try:
            target = pkgutil.resolve_name(node._target_)
        except (ImportError, AttributeError, ValueError, TypeError) as error:
            reason = (str(error).splitlines() or ["no name"])[0]
            accepted = "the dotted name of a class or function"
            if isinstance(error, ModuleNotFoundError):
                accepted += "; for a module in another folder: PYTHONPATH=FOLDER before the command"
            raise config_error(f"{path}._target_", node._target_, reason, accepted) from error
        if isinstance(target, type) and not issubclass(target, kind := (kinds or {}).get(path, object)):
            raise config_error(f"{path}._target_", node._target_, f"it is no {kind.__name__}", f"a class of {path}")
        names, any_name = parameters(target)
        for key in map(str, node):
            if path == "trainer" and key in SET_BY_RUN:
                raise config_error(f"{path}.{key}", node[key], "every run sets it itself", SET_BY_RUN[key])
            if key not in names and key not in HYDRA_KEYS and not any_name:
                known = sorted(names)
                problem = f"{node._target_} has no such argument{did_you_mean(key, known)}"
                raise config_error(f"{path}.{key}", node[key], problem, join_limited(known))
            annotated = key in names and names[key].annotation is not inspect.Parameter.empty
            if annotated and isinstance(node[key], str) and (values := kind_of(names[key])):
                raise config_error(f"{path}.{key}", node[key], f"must be {values}")


def check_named_parts(cfg: DictConfig) -> None:
    """Raise a ConfigError for a callback or a logger that does not say what it is."""
    for group in NAMED_PARTS:
        for name, part in (cfg.get(group) or {}).items():
            if part is not None and not (isinstance(part, DictConfig) and "_target_" in part):
                accepted = f"null to leave it out, or {group}.{name}._target_=CLASS behind a plus"
                raise config_error(f"{group}.{name}", part, "it does not say what is to be built", accepted)


def check_additions(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raise a ConfigError for a key behind `+` that nothing reads.

    One is read where it is an argument of its `_target_` (see `check_arguments`), a key of `conf/train.yaml`, a config
    group, or a part that a person names.
    """
    top = OmegaConf.load(CONF_DIR / f"{CONFIG_NAME}.yaml")
    assert isinstance(top, DictConfig)
    groups = [folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()]
    known = sorted({*map(str, top), *groups} - {"defaults"})
    for override in overrides:
        head = override.lstrip("+").partition("=")[0]
        path = head.partition("@")[2].rpartition(":")[2] or head
        parent, _, name = path.rpartition(".")
        first = path.split(".")[0]
        if not override.startswith("+") or "/" in path or first in NAMED_PARTS:
            continue
        if first not in known:
            problem = f"nothing reads a key {first}{did_you_mean(first, known)}"
            raise ConfigError(f"{override}: {problem}\n  accepted: {join_limited(known)}")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        if parent and "_target_" not in node and OmegaConf.select(top, path) is None:
            siblings = [key for key in node if key != name]
            problem = f"nothing reads a key {name} in {parent}{did_you_mean(name, siblings)}"
            raise ConfigError(f"{override}: {problem}\n  accepted: {join_limited(siblings)}")
