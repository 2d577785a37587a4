"""The keys, groups and options that a command may name, and corrections for names that do not exist."""

import argparse
import difflib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.cli.parser import hydra_parser
from trainyard.config.accepted import has_target
from trainyard.config.arguments import parameters
from trainyard.config.composition import compose, config_groups, parse_override, walk
from trainyard.config.config_folders import searched
from trainyard.config.constraints import find_validator
from trainyard.config.format_error import as_single_value
from trainyard.io.errors import ConfigError

# Correct key, or its last part: other names for it. Keys with a `+` are arguments of lightning.Trainer.
OTHER_NAMES = {
    "lr": "learning_rate learningrate base_lr",
    "weight_decay": "wd",
    "max_epochs": "epochs epoch n_epochs num_epochs",
    "batch_size": "bs batch batchsize",
    "num_workers": "workers n_workers",
    "gradient_clip_val": "clip grad_clip clip_grad_norm max_grad_norm",
    "accumulate_grad_batches": "accumulate grad_accum gradient_accumulation_steps",
    "dropout": "drop",
    "kernel_size": "kernel",
    "hidden_dims": "hidden hidden_size",
    "warmup_fraction": "warmup",
    "ema_decay": "ema",
    "image_size": "img_size",
    "seed": "random_seed rng",
    "objective": "metric monitor",
    "data.root": "data_dir dataroot",
    "data.path": "csv file",
    "data.target": "label",
    "model.weights": "pretrained",
    "resume": "ckpt ckpt_path checkpoint_path resume_from",
    "hydra.run.dir": "out outdir out_dir output output_dir",
    "data": "dataset datamodule",
    "model": "net network arch architecture",
    "optimizer": "opt optim",
    "loss": "criterion loss_fn loss_function",
    "scheduler": "sched schedule lr_scheduler lr_schedule",
    "augment": "augmentation augmentations transform transforms",
    "callbacks": "callback",
    "experiment": "exp",
    "accelerator": "device",
    "accelerator=gpu trainer.devices": "gpu gpus ngpus num_gpus",
    "+trainer.max_steps": "max_steps steps iterations",
}
TRAINER_ARGUMENTS = (
    "fast_dev_run max_time limit_train_batches limit_val_batches limit_test_batches overfit_batches "
    "val_check_interval check_val_every_n_epoch"
)
ALIASES = {name: key for key, names in OTHER_NAMES.items() for name in names.split()}
ALIASES |= {name: f"+trainer.{name}" for name in TRAINER_ARGUMENTS.split()}
VALUES = {  # other values: correct value, by key
    "accelerator": {"cuda": "gpu", "cuda:0": "gpu", "metal": "mps"},
    "trainer.precision": {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"},
}
RESUME = "resume"
OVERRIDE = re.compile(r"(?P<prefix>\+{0,2})(?P<key>[\w./@-]+)=(?P<value>.*)", re.DOTALL)


def parse_options(args: Iterable[str]) -> argparse.Namespace:
    """Return Hydra's options and the overrides among the arguments.

    Raises:
        argparse.ArgumentError: an option is none of Hydra's.
    """
    parser = hydra_parser()
    parser.exit_on_error = False  # which would print the usage
    return parser.parse_known_args(list(args))[0]


@cache
def composed_keys(options: tuple[str, ...], folders: tuple[Path, ...]) -> list[str]:
    """Return `resume` and the dotted keys of the config that options of groups compose, top-level keys first.

    Args:
        options: such as `("model=cnn",)`.
        folders: of the user, which are searched.
    """
    try:
        cfg = compose(options)
    except (ConfigError, HydraException, OmegaConfBaseException):  # an option of the user's own folder
        cfg = compose()
    paths = [path for path, _ in walk(OmegaConf.to_container(cfg)) if path.split(".")[0] != "run"]
    keys = {path for path in paths if path.rpartition(".")[2].isidentifier()}  # no items of lists
    return sorted({RESUME, *keys}, key=lambda path: (path.count("."), path))


@cache
def own_arguments(options: tuple[str, ...], folders: tuple[Path, ...]) -> list[str]:
    """Return the dotted names of the constructor arguments of the user's own model and data; see `composed_keys`."""
    try:
        cfg = compose(options)
    except (ConfigError, HydraException, OmegaConfBaseException):
        return []
    own = [part for part in ("model", "data") if not str(cfg[part].get("_target_")).startswith("trainyard.")]
    classes = {part: pkgutil.resolve_name(cfg[part]._target_) for part in own if has_target(cfg, part)}
    return [f"{part}.{name}" for part, found in classes.items() for name in parameters(found)[0]]


class OverrideCorrector:
    """Corrects the arguments of `trainyard train` by the keys and groups that exist.

    Args:
        args: overrides, and options of Hydra.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self.args = args

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The options of each group."""
        return config_groups()

    @cached_property
    def keys(self) -> list[str]:
        """The keys of the config composed from all valid `GROUP=OPTION` arguments."""
        return composed_keys(self.options, tuple(searched))

    @cached_property
    def arguments(self) -> list[str]:
        """The arguments of the user's own classes that the config does not contain; they need a plus."""
        return [name for name in own_arguments(self.options, tuple(searched)) if name not in self.keys]

    @cached_property
    def options(self) -> tuple[str, ...]:
        """All valid `GROUP=OPTION` arguments."""
        pairs = {arg: arg.split("=", 1) for arg in map(self.correct_value, self.args) if "=" in arg}
        return tuple(arg for arg, (group, option) in pairs.items() if option in self.groups.get(group, ()))

    def correct(self) -> list[str]:
        """Return the corrected arguments."""
        args = self.join(list(self.options_to_overrides()))
        args = [self.correct_value(override) for arg in args for override in self.correct_key(arg)]
        options = parse_options(args)
        overrides = [override for override in map(parse_override, options.overrides) if override]
        is_sweep = any(override.is_sweep_override() for override in overrides)
        return ["-m", *args] if is_sweep and not options.multirun else args

    def options_to_overrides(self) -> Iterator[str]:
        """Yield the arguments, with `--lr=0.1` and `--lr 0.1` as `lr=0.1`."""
        parser = hydra_parser()
        parser.add_argument("--trusted-packages")  # of resume=RUN
        remaining = iter(self.args)
        for arg in remaining:
            name, has_value, value = arg.partition("=")
            if name.startswith("--") and name not in parser.options:
                yield f"{name.lstrip('-').replace('-', '_')}={value if has_value else next(remaining, 'true')}"
                continue
            yield arg
            if name in parser.taking_values and not has_value:
                yield from islice(remaining, 1)

    def join(self, args: Sequence[str]) -> list[str]:
        """Join arguments that a space has split, and write `model:cnn` and `model/cnn` as `model=cnn`."""
        joined: list[str] = []
        for place, arg in enumerate(args):
            separator = self.separator(joined[-1], arg, args[place + 1 :]) if joined else None
            if separator is None:
                joined.append(arg)
            else:
                joined[-1] = f"{joined[-1].rstrip(':')}{separator}{arg}"
        for place, arg in enumerate(joined):
            group, _, option = re.sub("[:/]", "=", arg, count=1).partition("=")
            if "=" not in arg and option in self.groups.get(group, ()):
                joined[place] = f"{group}={option}"
        return joined

    def separator(self, before: str, arg: str, following: Sequence[str]) -> str | None:
        """Return the text between two arguments that a space has split; `None` if they do not belong together."""
        _, is_override, value = before.partition("=")
        if before.startswith("-") or arg.startswith(("-", "+", "~")):
            return None
        precedes_equals = bool(following) and following[0].startswith("=")  # `arg = ...` is the next override
        if is_override:
            if any(value.count(opening) > value.count(closing) for opening, closing in ("[]", "{}", "()")):
                return ""
            if "=" in arg:
                return None
            if not value or value.endswith(",") or arg.startswith(","):
                return ""
            precedes_option = bool(following) and following[0] in self.groups.get(arg, ())  # as in `model cnn`
            return None if precedes_equals or precedes_option else " "
        if arg.startswith("="):
            return ""
        is_key = before.endswith(":") or before in self.groups or before in self.keys
        return "=" if is_key and "=" not in arg and not precedes_equals else None

    def correct_key(self, arg: str) -> list[str]:
        """Return an argument with a correct key, after other overrides that the correction requires."""
        found = OVERRIDE.fullmatch(arg)
        if not found or found["key"].startswith(("hydra", "-")) or set("@/") & set(found["key"]):
            return [arg]
        [*required, key] = self.find_key(found["key"]).split()
        prefix = found["prefix"] if key == found["key"] else ""
        return [*required, f"{prefix}{key}={found['value']}"]

    def find_key(self, key: str) -> str:
        """Return the corrected key, or the key itself if no correction is known."""
        if key in self.keys or key in self.groups:
            return key
        key = key.replace("-", "_")
        if key in self.arguments:
            return f"+{key}"
        first, _, rest = key.partition(".")
        group = ALIASES.get(first.lower(), first)
        if rest and f"{group}.{rest}" in self.keys:
            return f"{group}.{rest}"
        last = key.rpartition(".")[2].lower()
        name = ALIASES.get(last, last)
        if name in (*self.groups, "hydra.run.dir") or not name.isidentifier():
            return name if not rest or "." in name else key
        same_name = [f"+{path}" for path in self.arguments if path.rpartition(".")[2] == name]
        same_name += [path for path in self.keys if path.rpartition(".")[2] == name]
        return same_name[0] if same_name else self.most_similar_key(key)

    def most_similar_key(self, key: str) -> str:
        """Return the most similar key of the same node, else the key with the most similar last part, else the key."""
        parent, _, last = key.rpartition(".")
        known = [*self.keys, *self.groups]
        siblings = {path.rpartition(".")[2]: path for path in known if path.rpartition(".")[0] == parent}
        by_name = {path.rpartition(".")[2]: path for path in reversed(self.keys)}
        siblings |= {path.rpartition(".")[2]: f"+{path}" for path in self.arguments if path.startswith(f"{parent}.")}
        found = [siblings[name] for name in difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)]
        found += [by_name[name] for name in difflib.get_close_matches(last, by_name, n=1, cutoff=0.8)]
        return found[0] if found else key

    def correct_value(self, arg: str) -> str:
        """Return an argument with a correct option, or with its value quoted if Hydra requires it."""
        found = OVERRIDE.fullmatch(arg)
        if not found:
            return arg
        key, value = found["key"], found["value"]
        value = VALUES.get(key, {}).get(value, value)
        options = [*self.groups.get(key, ()), *(["latest"] if key == RESUME else ())]
        items = value[1:-1].split(",") if options and value.startswith("[") and value.endswith("]") else [value]
        near = [difflib.get_close_matches(item.strip().lower(), options, n=1, cutoff=0.7) for item in items]
        corrected = [found[0] if found else item for item, found in zip(items, near, strict=True)]
        value = value if value in options else f"[{','.join(corrected)}]" if items != [value] else corrected[0]
        arg = f"{found['prefix']}{key}={value}"
        validator, override = find_validator(key), parse_override(arg)
        if options or (override and override.is_sweep_override()):
            return arg
        is_valid = override and (validator is None or validator.accepts(override.value()))
        return arg if is_valid else as_single_value(arg) or arg
