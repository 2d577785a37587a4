"""Which objects a stored config may build: the check of every `_target_` that does not come from the command line.

A run, a checkpoint or a sweep may come from someone else. A node of its config is built only if its place is known
(see `PLACES`), and the object is of the kind for this place and *defined* in a module that is allowed there. Checking
the beginning of the name is not enough: `lightning.pytorch.callbacks.model_checkpoint.torch.hub.load` loads code.
"""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

from trainyard.config.arguments import parameters
from trainyard.config.composition import walk
from trainyard.config.import_path import add_current_folder, installed_only
from trainyard.io.errors import config_error, join_limited

MAX_NODES = 20_000  # a config has a few hundred values
NOT_BUILT = ("sweep",)  # a run does not build the sampler of the sweep around it
NOT_HERE = "a stored config must not build it here"
OPTIONS = ("_partial_", "_convert_", "_recursive_")  # of Hydra's instantiate; they pass on what is checked
FORBIDDEN = {  # arguments that would load code, or send the weights elsewhere
    "_args_": "arguments by their names",
    "weights_only": "true, which reads no code",
    "model_registry": "no upload of the weights",
}
# Harmless options that Lightning's loggers pass on to their library; others, such as W&B's executable, are not.
PASSED_ON = ("flush_secs", "max_queue", "purge_step")


@dataclass(frozen=True)
class Kind:
    """The objects that may be built in one place of a config.

    Attributes:
        name: for messages.
        bases: dotted names of classes; the object must be derived from one of them.
        homes: modules or packages in which it must be defined.
        functions: functions, or modules of functions, that are accepted instead of a class.
    """

    name: str
    bases: tuple[str, ...]
    homes: tuple[str, ...]
    functions: tuple[str, ...] = ()

    def accepts(self, found: object, trusted: Sequence[str]) -> bool:
        """Return whether an object is of this kind, and defined in an allowed module."""
        if not isinstance(found, type | FunctionType) or not is_defined_at_home(found):
            return False
        name = f"{found.__module__}.{found.__qualname__}"
        own = any(is_inside(name, package) for package in trusted)
        if isinstance(found, type):
            bases = tuple(map(resolve_name, self.bases))
            return issubclass(found, bases) and (own or any(is_inside(name, home) for home in self.homes))
        return bool(self.functions) and (own or any(is_inside(name, function) for function in self.functions))


LIBRARIES = ("torch.nn.modules", "torchvision.models", "torchvision.ops", "timm.layers", "timm.models")
MODULES = (*LIBRARIES, "trainyard.models")
METRICS = ("torchmetrics.classification", "torchmetrics.regression", "torchmetrics.aggregation")
STRATEGIES = tuple(f"lightning.pytorch.strategies.{name}" for name in ("ddp", "fsdp", "single_device"))
PLUGINS = ("lightning.pytorch.plugins", "lightning.fabric.plugins")
TIMM_OPTIMIZERS = ("trainyard.optim.optimizers.timm_optimizer", "timm.optim._optim_factory.create_optimizer_v2")
INPUTS = ("torch.nn.Module", "torch.utils.data.Dataset")
PLUGIN_BASES = (f"{PLUGINS[0]}.Precision", f"{PLUGINS[0]}.CheckpointIO", f"{PLUGINS[1]}.ClusterEnvironment")
OPTIMIZERS = ("torch.optim", "timm.optim", "trainyard.optim")
SCHEDULERS = ("torch.optim.lr_scheduler.LRScheduler",)

MODEL = Kind("model", ("lightning.LightningModule",), ("trainyard.models",))
MODULE = Kind("torch.nn.Module", ("torch.nn.Module",), (*MODULES, *METRICS))
DATA = Kind("data module", ("lightning.LightningDataModule",), ("trainyard.data",))
INPUT = Kind("Module or Dataset of torch", INPUTS, (*MODULES, "torchvision.transforms", "trainyard.data"))
OPTIMIZER = Kind("optimizer", ("torch.optim.Optimizer",), OPTIMIZERS, TIMM_OPTIMIZERS)
SCHEDULE = Kind("schedule", SCHEDULERS, ("torch.optim", "trainyard.optim"), ("trainyard.optim.schedules",))
CALLBACK = Kind("callback", ("lightning.Callback",), ("lightning.pytorch.callbacks", "trainyard"))
LOGGER = Kind("logger", ("lightning.pytorch.loggers.Logger",), ("lightning.pytorch.loggers", "trainyard"))
TRAINER = Kind("trainer", ("lightning.Trainer",), ("lightning.pytorch.trainer",))
STRATEGY = Kind("strategy", ("lightning.pytorch.strategies.Strategy",), ("trainyard.run.distributed", *STRATEGIES))
PROFILER = Kind("profiler", ("lightning.pytorch.profilers.Profiler",), ("lightning.pytorch.profilers", "trainyard"))
PLUGIN = Kind("plugin", PLUGIN_BASES, (*PLUGINS, "trainyard.callbacks.checkpoint_files"))
AUGMENTATION = Kind("augmentation", ("trainyard.data.augment.Augmentation",), ("trainyard.data",))
FINETUNE = Kind("fine-tuning plan", ("trainyard.optim.finetune.Finetune",), ("trainyard.optim",))
# The first pattern that matches a dotted path decides; without a match, nothing may be built.
PLACES = {
    r"(model\.)?optimizer": OPTIMIZER,
    r"(model\.)?scheduler": SCHEDULE,
    r"model": MODEL,
    r"model\..+": MODULE,
    r"data": DATA,
    r"data\..+": INPUT,
    r"augment": AUGMENTATION,
    r"finetune": FINETUNE,
    r"callbacks\.[^.]+": CALLBACK,
    r"logger\.[^.]+": LOGGER,
    r"trainer": TRAINER,
    r"trainer\.strategy": STRATEGY,
    r"trainer\.profiler": PROFILER,
    r"trainer\.plugins(\.\d+)?": PLUGIN,
}


def check_stored(config: Mapping[str, Any], trusted: Sequence[str] = (), unbuilt: Sequence[str] = ()) -> None:
    """Raise a ConfigError for anything that a config from a file must not contain, such as interpolations.

    Nothing is built, and only modules of allowed packages, and of those that the user trusts, are imported. The nodes
    of the top-level keys `unbuilt` are never built.
    """
    nodes = list(walk_limited(config))
    for path, node in nodes:
        if isinstance(node, str) and "${" in node:
            raise config_error(path, node, "a stored config must not contain interpolations", "a value")
        if isinstance(node, dict) and (unexpected := [key for key in node if "${" in str(key)]):
            raise config_error(path, unexpected[0], "a stored config must not contain interpolations", "a name")
    for path, node in nodes:
        if isinstance(node, dict) and path.partition(".")[0] not in unbuilt:
            check_node(path, node, trusted)


def walk_limited(config: object) -> Iterator[tuple[str, Any]]:
    """Yield every value of a config from a file with its dotted path; raise a ConfigError if there are too many."""
    for count, (path, value) in enumerate(walk(config)):
        if count == MAX_NODES:
            raise config_error("RUN", "config.yaml", f"more than {MAX_NODES} values", "a config that train.py wrote")
        yield path, value


def check_node(path: str, node: Mapping[str, Any], trusted: Sequence[str]) -> None:
    """Raise a ConfigError if a node with Hydra's own keys must not be built at its place."""
    if "_target_" not in node and not set(node) & set(OPTIONS):
        return
    kind = next((kind for pattern, kind in PLACES.items() if re.fullmatch(pattern, path)), None)
    if kind is None:
        raise config_error(f"{path}._target_", node.get("_target_"), NOT_HERE, "plain values")
    found = check_target(f"{path}._target_", node.get("_target_"), kind, trusted)
    for key, accepted in FORBIDDEN.items():
        if key in node and node[key] is not True:
            raise config_error(f"{path}.{key}", node[key], NOT_HERE, accepted)
    if found.__module__.startswith("lightning."):
        known = {*parameters(found)[0], *PASSED_ON, *OPTIONS, "_target_"}
        if unexpected := [key for key in node if key not in known]:
            problem = f"not an argument of {found.__qualname__} that a stored config may set"
            raise config_error(
                f"{path}.{unexpected[0]}", node[unexpected[0]], problem, join_limited(parameters(found)[0])
            )


def check_target(key: str, name: object, kind: Kind, trusted: Sequence[str] = ()) -> Any:
    """Return the class or function of a dotted name; raise a ConfigError about `key` unless it may be built."""
    packages = [*dict.fromkeys(home.partition(".")[0] for home in kind.homes), *trusted]
    words = name.split(".") if isinstance(name, str) else []
    found = None
    if len(words) > 1 and all(map(str.isidentifier, words)) and words[0] in packages:
        found = locate(words, (*kind.homes, *trusted), own=words[0] in trusted)
    if not kind.accepts(found, trusted):
        accepted = f"{kind.name} of {join_limited(packages)}; or of your own package with --trusted-packages NAME"
        raise config_error(key, name, NOT_HERE, accepted)
    return found


def locate(words: Sequence[str], homes: Sequence[str], own: bool) -> Any:
    """Return the object of a dotted name, or `None`; only modules on the way to one of the homes are imported."""
    found: Any = None
    path = ""
    if own:
        add_current_folder(words[:1])
    for word in words:
        path = f"{path}.{word}" if path else word
        if hasattr(found, word):
            found = getattr(found, word)
            continue
        if path not in sys.modules and not any(is_inside(path, home) or is_inside(home, path) for home in homes):
            return None
        try:
            with nullcontext() if own else installed_only():  # not a timm.py in the current folder
                found = importlib.import_module(path)
        except ImportError:
            return None
    return found


def is_defined_at_home(found: type | FunctionType) -> bool:
    """Return whether an object is what its own `__module__` and `__qualname__` refer to."""
    home: Any = sys.modules.get(found.__module__)
    for name in found.__qualname__.split("."):
        home = getattr(home, name, None)
    return home is found


def is_inside(name: str, package: str) -> bool:
    """Return whether a dotted name is a package or inside it."""
    return name == package or name.startswith(f"{package}.")


def foreign_packages(config: Mapping[str, Any]) -> list[str]:
    """Return the packages in a run's plain config that need `--trusted-packages`."""
    known = {home.partition(".")[0] for kind in PLACES.values() for home in kind.homes}
    built = {key: part for key, part in config.items() if key not in NOT_BUILT}
    targets = [part["_target_"] for _, part in walk_limited(built) if isinstance(part, dict) and "_target_" in part]
    return sorted({str(target).partition(".")[0] for target in targets} - known)
