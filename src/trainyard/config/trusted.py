"""Which objects a stored config may build: the check of every `_target_` that does not come from the command line.

A run, a checkpoint or a sweep may come from someone else. A node of its config is built only if its place is known
(see `PLACES`), and the object is of the kind for this place and *defined* in a module that is allowed there. Checking
the beginning of the name is not enough: `lightning.pytorch.callbacks.model_checkpoint.torch.hub.load` loads code.
"""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pkgutil import resolve_name
from types import FunctionType
from typing import Any

from trainyard.config.arguments import parameters
from trainyard.config.composition import walk
from trainyard.config.import_path import add_project_folders, installed_only
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
SEQUENTIAL = "torch.nn.modules.container.Sequential"
# Harmless options that Lightning's loggers pass on to their library; others, such as W&B's executable, are not.
LOGGER_OPTIONS = ("flush_secs", "max_queue", "purge_step")


@dataclass(frozen=True)
class Kind:
    """The objects that may be built in one place of a config.

    Attributes:
        name: for messages.
        bases: dotted names of classes; the object must be derived from one of them.
        packages: packages or modules in which it must be defined.
        functions: functions, or modules of functions, that are accepted instead of a class.
        any_trusted: whether any class or function of a package that the user trusts is accepted.
    """

    name: str
    bases: tuple[str, ...]
    packages: tuple[str, ...]
    functions: tuple[str, ...] = ()
    any_trusted: bool = False

    def accepts(self, found: object, trusted: Sequence[str]) -> bool:
        """Return whether an object is of this kind, and defined in an allowed or trusted package."""
        if not isinstance(found, type | FunctionType) or not is_original(found):
            return False
        name = f"{found.__module__}.{found.__qualname__}"
        if self.any_trusted and is_inside(name, trusted):
            return True
        if isinstance(found, type):
            bases = tuple(map(resolve_name, self.bases))
            return issubclass(found, bases) and is_inside(name, (*self.packages, *trusted))
        return bool(self.functions) and is_inside(name, (*self.functions, *trusted))


PL = "lightning.pytorch"  # PyTorch Lightning
LIBRARIES = ("torch.nn.modules", "torchvision.models", "torchvision.ops", "timm.layers", "timm.models")
MODULES = (*LIBRARIES, "trainyard.models")
METRIC_KINDS = ("aggregation", "classification", "collections", "regression", "retrieval", "segmentation")
METRICS = tuple(f"torchmetrics.{kind}" for kind in METRIC_KINDS)  # others, such as FID, load pretrained weights
PLAIN_TRANSFORMS = ("Compose", "PILToTensor", "RandomTransforms", "ToPILImage", "ToTensor")
INPUTS = (
    *("torch.nn.Module", "torch.utils.data.Dataset"),
    *(f"torchvision.transforms.transforms.{name}" for name in PLAIN_TRANSFORMS),
)
INPUT_PACKAGES = (*MODULES, "torchvision.transforms", "trainyard.data")
OPTIMIZERS = ("torch.optim", "timm.optim", "trainyard.optim")
TIMM_OPTIMIZERS = ("trainyard.optim.optimizers.timm_optimizer", "timm.optim._optim_factory.create_optimizer_v2")
OPTIMIZER_BASES = ("torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler")
SCHEDULERS = ("torch.optim.lr_scheduler.LRScheduler",)
SCHEDULES = ("trainyard.optim.schedules",)
STRATEGIES = ("trainyard.run.distributed", *(f"{PL}.strategies.{name}" for name in ("ddp", "fsdp", "single_device")))
PLUGINS = (f"{PL}.plugins", "lightning.fabric.plugins")
PLUGIN_BASES = (f"{PL}.plugins.Precision", f"{PL}.plugins.CheckpointIO", "lightning.fabric.plugins.ClusterEnvironment")

MODEL = Kind("model", ("lightning.LightningModule",), ("trainyard.models",))
DATA = Kind("data module", ("lightning.LightningDataModule",), ("trainyard.data",))
AUGMENTATION = Kind("augmentation", ("trainyard.data.augment.Augmentation",), ("trainyard.data",))
TASK = Kind("task", ("torch.nn.Module",), ("trainyard.tasks",), any_trusted=True)
LOSS = Kind("loss", ("torch.nn.Module",), ("torch.nn.modules", "trainyard.tasks"), any_trusted=True)
METRIC = Kind("metric", ("torchmetrics.Metric",), METRICS, any_trusted=True)
# Arguments of a model such as `optimizer_g`, `optimizers.generator`, `opt_d` and `lr_scheduler`.
OPTIMIZER_NAMES = r"(.+[._])?(opt|optim|optimizers?)([._].+)?"
SCHEDULER_NAMES = r"(.+[._])?(sched|schedulers?|schedules?)([._].+)?"
# The first pattern that matches a dotted path decides; without a match below one of `KEYS`, nothing may be built.
PLACES = {
    rf"(model\.)?optimizer|model\.{OPTIMIZER_NAMES}": Kind(
        "optimizer", ("torch.optim.Optimizer",), OPTIMIZERS, TIMM_OPTIMIZERS
    ),
    rf"(model\.)?scheduler|model\.{SCHEDULER_NAMES}": Kind(
        "schedule", SCHEDULERS, ("torch.optim", "trainyard.optim"), SCHEDULES
    ),
    r"model": MODEL,
    r"model\..+": Kind("torch.nn.Module", ("torch.nn.Module",), (*MODULES, *METRICS), any_trusted=True),
    r"data": DATA,
    r"data\..+": Kind("Module, Dataset or transform", INPUTS, INPUT_PACKAGES, any_trusted=True),
    r"augment": AUGMENTATION,
    r"task": TASK,
    r"(task\.)?loss": LOSS,
    r"(task\.)?metrics\..+": METRIC,
    r"finetune": Kind("fine-tuning plan", ("trainyard.optim.finetune.Finetune",), ("trainyard.optim",)),
    r"callbacks\.[^.]+": Kind("callback", ("lightning.Callback",), (f"{PL}.callbacks", "trainyard")),
    r"logger\.[^.]+": Kind("logger", (f"{PL}.loggers.Logger",), (f"{PL}.loggers", "trainyard")),
    r"trainer": Kind("trainer", ("lightning.Trainer",), (f"{PL}.trainer",)),
    r"trainer\.strategy": Kind("strategy", (f"{PL}.strategies.Strategy",), STRATEGIES),
    r"trainer\.profiler": Kind("profiler", (f"{PL}.profilers.Profiler",), (f"{PL}.profilers", "trainyard")),
    r"trainer\.plugins(\.\d+)?": Kind("plugin", PLUGIN_BASES, (*PLUGINS, "trainyard.callbacks.checkpoint_files")),
}

# Keys of a run, below which nothing else may be built. Other keys are the user's own groups: a run builds none of them,
# but they remain in the config when another key refers to them, as in `model.net=${net}`.
KEYS = (
    "augment",
    "callbacks",
    "checkpoint",
    "data",
    "finetune",
    "logger",
    "loss",
    "metrics",
    "model",
    "optimizer",
    "run",
    "scheduler",
    "sweep",
    "task",
    "trainer",
)
OWN = Kind("part of a model", (*INPUTS, *OPTIMIZER_BASES), (*INPUT_PACKAGES, *METRICS, *OPTIMIZERS), any_trusted=True)


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
    built = "_target_" in node and not (path in ("loss", "task.loss") and node["_target_"] is None)  # that of the task
    if not built and not set(node) & set(OPTIONS):
        return
    kind = find_kind(path)
    if kind is None:
        raise config_error(f"{path}._target_", node.get("_target_"), NOT_HERE, "plain values")
    found = check_target(f"{path}._target_", node.get("_target_"), kind, trusted)
    for key, accepted in FORBIDDEN.items():
        if key in node and node[key] is not True and not (key == "_args_" and is_called_with_values(found, trusted)):
            raise config_error(f"{path}.{key}", node[key], NOT_HERE, accepted)
    if found.__module__.startswith("lightning."):
        known = {*parameters(found)[0], *LOGGER_OPTIONS, *OPTIONS, "_target_"}
        for key in node:
            if key not in known:
                problem = f"not an argument of {found.__qualname__} that a stored config may set"
                raise config_error(f"{path}.{key}", node[key], problem, join_limited(parameters(found)[0]))


def is_called_with_values(found: Any, trusted: Sequence[str]) -> bool:
    """Return whether a stored config may call an object with arguments without names.

    A `Sequential` accepts no others; its layers are checked like all nodes. A trusted package may do anything.
    """
    return is_inside(f"{found.__module__}.{found.__qualname__}", (SEQUENTIAL, *trusted))


def find_kind(path: str) -> Kind | None:
    """Return the kind of the objects that may be built at a dotted path; `None` if none may be."""
    own = None if path.partition(".")[0] in KEYS else OWN
    return next((kind for pattern, kind in PLACES.items() if re.fullmatch(pattern, path)), own)


def check_target(key: str, name: object, kind: Kind, trusted: Sequence[str] = ()) -> Any:
    """Return the class or function of a dotted name; raise a ConfigError about `key` unless it may be built."""
    roots = [*dict.fromkeys(package.partition(".")[0] for package in kind.packages), *trusted]
    parts = name.split(".") if isinstance(name, str) else []
    found = None
    if len(parts) > 1 and all(map(str.isidentifier, parts)) and parts[0] in roots:
        found = locate(parts, (*kind.packages, *trusted), is_trusted=parts[0] in trusted)
    if not kind.accepts(found, trusted):
        accepted = f"{kind.name} of {join_limited(roots)}; or of your own package with --trusted-packages NAME"
        raise config_error(key, name, NOT_HERE, accepted)
    return found


def locate(parts: Sequence[str], packages: Sequence[str], is_trusted: bool) -> Any:
    """Return the object of a dotted name, or `None`; only the packages and what contains them are imported."""
    found: Any = None
    path = ""
    if is_trusted:
        add_project_folders(parts[:1])
    for part in parts:
        path = f"{path}.{part}" if path else part
        if hasattr(found, part):
            found = getattr(found, part)
            continue
        may_import = is_inside(path, packages) or any(is_inside(package, [path]) for package in packages)
        if path not in sys.modules and not may_import:
            return None
        try:
            with nullcontext() if is_trusted else installed_only():  # not a timm.py in the current folder
                found = importlib.import_module(path)
        except ImportError:
            return None
    return found


def is_original(found: type | FunctionType) -> bool:
    """Return whether an object is what its own `__module__` and `__qualname__` refer to."""
    original: Any = sys.modules.get(found.__module__)
    for name in found.__qualname__.split("."):
        original = getattr(original, name, None)
    return original is found


def is_inside(name: str, packages: Iterable[str]) -> bool:
    """Return whether a dotted name is one of several packages or inside it."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
