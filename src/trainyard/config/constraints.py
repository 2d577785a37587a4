"""What each key of a config may hold, by the name that the key has wherever it stands.

A name means the same everywhere in the project (`lr`, `dropout`, `val_fraction`), so one rule serves all groups, a
person's own configs too; where a name has two meanings, the dotted path has a rule of its own.
"""

import pkgutil
from contextlib import suppress
from typing import Any

from omegaconf import DictConfig

from trainyard.config.arguments import kind_of, parameters
from trainyard.config.composition import keys_inside, leaves
from trainyard.config.validators import Each, Either, Kind, Number, OneOf, Optional, PathText, Word, parsed
from trainyard.io.errors import config_error

FRACTION = Number(low=0, below=1)
COUNT = Number(low=1, whole=True)
SIDE = Number(low=1, high=4096, whole=True)  # of an image, in pixels
NO_LIMIT = Number(low=-1, high=-1, whole=True)
YES_OR_NO = OneOf((True, False))
NAMES = Optional(Either((Word(), Number(), Each(Either((Word(), Number()))))))
MOST_BITS = 14_000  # 4215 digits; Python writes 4300
SPACE = "sweep.params."  # holds what the keys may be, not what they are

RULES: dict[str, Kind] = {
    "seed": Number(low=0, high=2**32 - 1, whole=True),
    "objective": Word(),
    "channels_last": YES_OR_NO,
    "compile": YES_OR_NO,
    "ema_decay": Optional(Number(above=0, below=1)),
    "on_nan": OneOf(("stop", "skip_batch")),
    "every_minutes": Optional(Number(above=0)),
    "every_steps": Optional(COUNT),
    "sweep.name": Optional(Either((Word(), Number(low=0)))),
    "retries": Number(low=0, whole=True),
    "fail_fast": YES_OR_NO,
    "keep": Optional(COUNT),
    "trials": Optional(COUNT),
    "batch": COUNT,
    "where": Optional(Word()),
    "plan": YES_OR_NO,
    "pruner": OneOf(("none", "median", "hyperband")),
    "sweep.sampler": Optional(OneOf(())),  # or what builds one, as sweep=tpe has it
    "slots": COUNT,
    # optimizer
    "lr": Number(above=0),
    "weight_decay": Number(low=0),
    "momentum": FRACTION,
    "betas": Each(FRACTION, least=2, most=2),
    "alpha": FRACTION,
    "rho": FRACTION,
    "eps": Number(low=0),
    "opt": Word(),
    "fused": Optional(YES_OR_NO),
    "nesterov": YES_OR_NO,
    # scheduler
    "warmup_fraction": FRACTION,
    "min_lr_factor": Number(low=0, high=1),
    "start_lr_factor": Number(low=0, high=1),
    "peak_fraction": Number(above=0, below=1),
    "drop_fraction": Number(above=0, high=1),
    "gamma": Number(above=0, high=1),
    "power": Number(above=0),
    "patience": Number(low=0, whole=True),
    "factor": Number(above=0, below=1),
    # data
    "batch_size": Optional(COUNT),
    "default_batch_size": COUNT,
    "val_fraction": Number(above=0, below=1),
    "test_fraction": Number(above=0, below=1),
    "count": Number(low=30, high=10**7, whole=True),
    "train_fraction": Number(above=0, high=1),
    "folds": Number(low=2, whole=True),
    "fold": Optional(Number(low=0, whole=True)),
    "class_weights": Either((OneOf(("none", "balanced")), Each(Number(low=0), least=2))),
    "sampler": OneOf(("shuffle", "balanced")),
    "resident": OneOf(("auto", True, False)),
    "resident_limit": Number(low=0),
    "num_workers": Optional(Number(low=0, high=1024, whole=True)),
    "one_hot_limit": Number(low=0, whole=True),
    "value_range": Optional(Each(Number(), least=2, most=2)),
    "data.keep": NAMES,
    "data.missing": NAMES,
    "decimal": Optional(OneOf(("point", "comma"))),
    "dayfirst": Optional(YES_OR_NO),
    "data.channels": Optional(Number(low=1, high=3, whole=True, odd=True)),
    "on_error": OneOf(("raise", "skip")),
    "root": PathText(),
    "path": PathText(),
    "test_path": Optional(PathText()),
    "cache": PathText(),
    "folder": PathText(),
    "save_dir": PathText(),
    "target": Word(),
    # model
    "hidden_dims": Each(COUNT),
    "channels": Each(COUNT, least=1),
    "kernel_size": Number(low=1, whole=True, odd=True),
    "dropout": FRACTION,
    "label_smoothing": FRACTION,
    "activation": Word(),
    "backbone": Word(),
    "weights": PathText(),
    "data.image_size": Optional(Either((SIDE, Each(SIDE, least=2, most=2)))),
    "image_size": Optional(SIDE),
    "blocks": COUNT,
    "drop_path": FRACTION,
    # finetune
    "thaw": Each(Number(low=0)),
    "layer_decay": Number(above=0, high=1),
    "head_lr_factor": Number(above=0),
    "restart_lr_factor": Optional(Number(above=0)),
    "freeze_batch_norm": YES_OR_NO,
    # augment
    "flip": Number(low=0, high=1),
    "shift": Number(low=0, high=1),
    "rotate": Number(low=0, high=180),
    "skew": Number(low=0, below=90),
    "scale": FRACTION,
    "rand_augment": Number(low=0, whole=True),
    "magnitude": Number(low=0, high=30),
    "crop": FRACTION,
    "brightness": Number(low=0, high=1),
    "contrast": Number(low=0, high=1),
    "saturation": Number(low=0, high=1),
    "hue": Number(low=0, high=0.5),
    "erase": Number(low=0, high=1),
    "largest": Number(above=0, high=1),
    "mixup": Number(low=0),
    "cutmix": Number(low=0),
    # callbacks
    "share": Number(low=0),
    # trainer
    "devices": Either((Number(whole=True), Each(Number(whole=True)), Word())),
    "max_epochs": Optional(Either((COUNT, NO_LIMIT))),
    "min_epochs": Optional(Number(low=0, whole=True)),
    "min_steps": Optional(Number(low=0, whole=True)),
    "precision": OneOf(("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true")),
    "limit_train_batches": Number(above=0),
    "limit_val_batches": Number(above=0),  # validation chooses the best epoch
    "limit_test_batches": Number(above=0),
    "accumulate_grad_batches": COUNT,
    "gradient_clip_val": Optional(Number(above=0)),
    "deterministic": OneOf((True, False, "warn")),
    "detect_anomaly": YES_OR_NO,
    "log_every_n_steps": Number(low=0, whole=True),
    "num_sanity_val_steps": Number(low=-1, whole=True),
    "max_steps": Either((COUNT, NO_LIMIT)),
    "val_check_interval": Either((Number(above=0), Word())),
    "check_val_every_n_epoch": Optional(COUNT),
}


def rule(path: str) -> Kind | None:
    """Return the kind of values that a key may hold, by its dotted path; `None` where there is no rule."""
    return RULES.get(path) or RULES.get(path.rpartition(".")[2])


def read_text(values: dict[str, Any], prefix: str = "") -> None:
    """Replace text by the number, boolean, null or list that it stands for, where the key takes one.

    `${oc.env:LR}` is always text. It is read as Hydra reads what is typed behind a key. Text that the key does not
    accept stays, for `check_ranges` and `check_arguments` to reject.

    Args:
        values: of a config, plain; changed in place.
        prefix: of their dotted paths.
    """
    for name, value in values.items():
        path = f"{prefix}{name}"
        nodes = {f"{path}.": value} if isinstance(value, dict) else {}
        if isinstance(value, list):
            nodes = {f"{path}[{place}].": item for place, item in enumerate(value) if isinstance(item, dict)}
        for inside, node in nodes.items():
            read_text(node, inside)
        if not nodes and not path.startswith(SPACE) and (kind := rule(path) or kind_of_argument(values, name)):
            values[name] = kind.read(value)


def kind_of_argument(values: dict[str, Any], name: str) -> Kind | None:
    """Return the kind of an argument of a `_target_`, where its value is text that stands for another."""
    value = values[name]
    texts = value if isinstance(value, list) else [value]
    if "_target_" not in values or not any(text != parsed(text) for text in texts):
        return None
    with suppress(ImportError, AttributeError, ValueError, TypeError):  # `check_arguments` names what is wrong
        parameter = parameters(pkgutil.resolve_name(values["_target_"]))[0].get(name)
        return kind_of(parameter) if parameter else None
    return None


def check_integers(values: dict[str, Any], prefix: str = "") -> None:
    """Raise a ConfigError for an integer that Python does not write, as a YAML file may have it in hexadecimal digits.

    Args:
        values: of a config, plain.
        prefix: of their dotted paths.
    """
    for name, value in values.items():
        if isinstance(value, dict):
            check_integers(value, f"{prefix}{name}.")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int) and item.bit_length() > MOST_BITS:
                raise config_error(
                    f"{prefix}{name}", hex(item), f"a number of {item.bit_length()} bits", f"at most {MOST_BITS}"
                )


def check_ranges(cfg: DictConfig) -> None:
    """Raise a ConfigError for the first value that its key does not accept."""
    for path, value in [*keys_inside(cfg), *leaves(cfg)]:
        if path.startswith(SPACE):
            continue
        if (kind := rule(path)) is not None and not kind.accepts(value):
            raise config_error(path, value, f"must be {kind}")
