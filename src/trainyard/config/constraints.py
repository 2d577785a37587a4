"""The values that each key of a config accepts, by the name of the key.

A name such as `lr` or `val_fraction` has one meaning in the project, so one rule serves all groups, the user's own
configs included; where a name has two meanings, rules are for dotted paths.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from trainyard.config.composition import parse_value
from trainyard.io.files import PATHS, path_problem


def parsed(value: Any) -> Any:
    """Parse a string as the value of an override; return any other value unchanged."""
    return parse_value(value) if isinstance(value, str) else value


class Validator:
    """Accepts or rejects values; `str()` describes the accepted ones."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is valid."""
        raise NotImplementedError

    def convert(self, value: Any) -> Any:
        """Return the valid value that a string from `${oc.env:NAME}` stands for, or else the value itself."""
        if self.accepts(value):
            return value
        candidates = [parsed(value), [*map(parsed, value)] if isinstance(value, list) else value]
        return next(filter(self.accepts, candidates), value)


@dataclass(frozen=True)
class Number(Validator):
    """A number from `low` to `high`; `above` and `below` exclude the limit itself."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    whole: bool = False
    odd: bool = False

    def accepts(self, value: object) -> bool:
        """Return whether the value is such a number; booleans, NaN and infinity are not."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        in_range = self.low <= value <= self.high and self.above < value < self.below
        finite = isinstance(value, int) or math.isfinite(value)  # the largest integers do not fit in a float
        return in_range and finite and not (self.odd and value % 2 == 0)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:.10g}"
        kind = "an odd whole number" if self.odd else "a whole number" if self.whole else "a number"
        limits = (("from", self.low), ("above", self.above), ("to", self.high), ("below", self.below))
        return " ".join([kind, *(f"{word} {limit:.10g}" for word, limit in limits if math.isfinite(limit))])


@dataclass(frozen=True)
class ListOf(Validator):
    """A list of `min_items` to `max_items` items that are all valid."""

    item: Validator
    min_items: int = 0
    max_items: int | None = None

    def accepts(self, value: object) -> bool:
        """Return whether the value is such a list."""
        if not isinstance(value, list) or len(value) < self.min_items or (self.max_items or len(value)) < len(value):
            return False
        return all(map(self.item.accepts, value))

    def __str__(self) -> str:
        count = f"a list of {self.max_items}" if self.max_items else "a list like [64,32]"
        return f"{count}, each item {self.item}"


@dataclass(frozen=True)
class OneOf(Validator):
    """One of several constants: strings, integers, `True`, `False` and `None`."""

    constants: tuple[str | int | bool | None, ...]

    def accepts(self, value: object) -> bool:
        """Return whether the value is one of the constants; 1 is not `True`."""
        return any(type(value) is type(constant) and value == constant for constant in self.constants)

    def __str__(self) -> str:
        names = [constant if isinstance(constant, str) else json.dumps(constant) for constant in self.constants]
        return f"one of {', '.join(names)}" if len(names) > 1 else names[0]


class NonEmptyString(Validator):
    """A string that is not empty."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is such a string."""
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return "a string"


class PathString(NonEmptyString):
    """A string that is a valid path; the file need not exist."""

    def accepts(self, value: object) -> bool:
        """Return whether the value is such a string."""
        return super().accepts(value) and not path_problem(str(value))

    def __str__(self) -> str:
        return f"a string, {PATHS}"


@dataclass(frozen=True)
class Either(Validator):
    """What any of several validators accepts."""

    options: tuple[Validator, ...]

    def accepts(self, value: object) -> bool:
        """Return whether one of the validators accepts the value."""
        return any(option.accepts(value) for option in self.options)

    def convert(self, value: Any) -> Any:
        """Return `None` for "null" if it is accepted, otherwise the first valid conversion."""
        if parsed(value) is None and self.accepts(None):
            return None
        conversions = ((option, option.convert(value)) for option in self.options)
        return next((converted for option, converted in conversions if option.accepts(converted)), value)

    def __str__(self) -> str:
        return ", or ".join(map(str, self.options))


POSITIVE = Number(above=0)
NOT_NEGATIVE = Number(low=0)
FRACTION = Number(low=0, below=1)
SHARE = Number(low=0, high=1)
INDEX = Number(low=0, whole=True)
COUNT = Number(low=1, whole=True)
SIDE = Number(low=1, high=4096, whole=True)  # of an image, in pixels
NO_LIMIT = Number(low=-1, high=-1, whole=True)
BOOLEAN = OneOf((True, False))
NULL = OneOf((None,))
STRING = NonEmptyString()
PATH = PathString()


def optional(validator: Validator) -> Validator:
    """Return a validator that accepts `null` too."""
    return Either((validator, NULL))


def same(validator: Validator, *keys: str) -> dict[str, Validator]:
    """Return rules of several keys that accept the same values."""
    return dict.fromkeys(keys, validator)


NAMES = optional(Either((STRING, Number(), ListOf(Either((STRING, Number()))))))
RULES: dict[str, Validator] = {
    **same(POSITIVE, "lr", "power", "head_lr_factor", "bias_lr_factor", "limit_train_batches", "limit_test_batches"),
    "limit_val_batches": POSITIVE,  # validation selects the best epoch
    **same(optional(POSITIVE), "every_minutes", "restart_lr_factor", "gradient_clip_val"),
    **same(NOT_NEGATIVE, "weight_decay", "eps", "resident_limit", "mixup", "cutmix", "share"),
    **same(FRACTION, "momentum", "alpha", "rho", "warmup_fraction", "dropout", "label_smoothing", "drop_path"),
    **same(FRACTION, "scale", "crop"),
    **same(SHARE, "min_lr_factor", "start_lr_factor", "flip", "shift", "brightness", "contrast", "saturation", "erase"),
    **same(Number(above=0, below=1), "peak_fraction", "factor", "val_fraction", "test_fraction"),
    **same(Number(above=0, high=1), "drop_fraction", "gamma", "train_fraction", "layer_decay", "largest"),
    **same(INDEX, "retries", "patience", "one_hot_limit", "rand_augment", "log_every_n_steps"),
    **same(optional(INDEX), "fold", "min_epochs", "min_steps"),
    **same(COUNT, "batch", "slots", "default_batch_size", "blocks", "accumulate_grad_batches"),
    **same(optional(COUNT), "every_steps", "keep", "trials", "batch_size", "check_val_every_n_epoch"),
    **same(BOOLEAN, "compile", "fail_fast", "plan", "nesterov", "freeze_batch_norm", "detect_anomaly"),
    **same(BOOLEAN, "whiten", "alternate_flips"),
    **same(optional(BOOLEAN), "fused", "dayfirst"),
    **same(STRING, "objective", "data.image", "opt", "activation", "backbone"),
    **same(PATH, "root", "path", "cache", "folder", "save_dir", "weights"),
    **same(NAMES, "data.keep", "data.missing"),
    "target": Either((STRING, ListOf(Either((STRING, Number())), min_items=1))),
    "target_transform": OneOf(("none", "log")),
    "seed": Number(low=0, high=2**32 - 1, whole=True),
    "objective_mode": optional(OneOf(("min", "max", "auto"))),
    "channels_last": OneOf(("auto", True, False)),
    "ema_decay": optional(Number(above=0, below=1)),
    "on_nan": OneOf(("stop", "skip_batch")),
    # sweep
    "sweep.name": optional(Either((STRING, NOT_NEGATIVE))),
    "where": optional(STRING),
    "pruner": OneOf(("none", "median", "hyperband")),
    "sweep.sampler": NULL,  # or a node that builds one, as in sweep=tpe
    # optimizer and fine-tuning
    "betas": ListOf(FRACTION, min_items=2, max_items=2),
    "unfreeze": ListOf(NOT_NEGATIVE),
    # loss
    "loss.gamma": NOT_NEGATIVE,
    "delta": POSITIVE,
    "quantile": Number(above=0, below=1),
    # data
    "test_path": optional(PATH),
    "count": Number(low=30, high=10**7, whole=True),
    "folds": Number(low=2, whole=True),
    "class_weights": Either((OneOf(("none", "balanced")), ListOf(NOT_NEGATIVE, min_items=2))),
    "sampler": OneOf(("shuffle", "balanced")),
    "resident": OneOf(("auto", True, False)),
    "num_workers": optional(Number(low=0, high=1024, whole=True)),
    "value_range": optional(ListOf(Number(), min_items=2, max_items=2)),
    "decimal": optional(OneOf(("point", "comma"))),
    "data.channels": optional(Number(low=1, high=3, whole=True, odd=True)),
    "data.image_size": optional(Either((SIDE, ListOf(SIDE, min_items=2, max_items=2)))),
    "on_error": OneOf(("raise", "skip")),
    # model
    "hidden_dims": ListOf(COUNT),
    "channels": ListOf(COUNT, min_items=1),
    "kernel_size": Number(low=1, whole=True, odd=True),
    "image_size": optional(SIDE),
    "evaluation_views": OneOf((1, 2, 6)),
    # augment
    "border": OneOf(("black", "reflect")),
    "rotate": Number(low=0, high=180),
    "skew": Number(low=0, below=90),
    "magnitude": Number(low=0, high=30),
    "hue": Number(low=0, high=0.5),
    # trainer
    "devices": Either((Number(whole=True), ListOf(Number(whole=True)), STRING)),
    "max_epochs": optional(Either((COUNT, NO_LIMIT))),
    "max_steps": Either((COUNT, NO_LIMIT)),
    "precision": OneOf(("32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", "auto")),
    "deterministic": OneOf((True, False, "warn")),
    "num_sanity_val_steps": Number(low=-1, whole=True),
    "val_check_interval": Either((POSITIVE, STRING)),
}


def find_validator(path: str) -> Validator | None:
    """Return the validator of a key by its dotted path; `None` for keys without one."""
    return RULES.get(path) or RULES.get(path.rpartition(".")[2])
