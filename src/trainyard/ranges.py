"""What each key of a config may hold: types and ranges, by the name that the key has wherever it stands.

A name means the same everywhere in the project (`lr`, `dropout`, `val_fraction`), so one rule serves all groups, a
person's own configs too.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import DictConfig, ListConfig, OmegaConf

from trainyard.errors import reject


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; `above` and `below` exclude the limit itself."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    whole: bool = False
    odd: bool = False

    def accepts(self, value: object) -> bool:
        """Whether the value is such a number; `true` is none, nor are NaN and infinity."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        inside = self.low <= value <= self.high and self.above < value < self.below
        return inside and math.isfinite(value) and not (self.odd and value % 2 == 0)

    def __str__(self) -> str:
        kind = "an odd whole number" if self.odd else "a whole number" if self.whole else "a number"
        limits = (("from", self.low), ("above", self.above), ("to", self.high), ("below", self.below))
        return " ".join([kind, *(f"{word} {limit:.10g}" for word, limit in limits if math.isfinite(limit))])


@dataclass(frozen=True)
class Each:
    """A list whose items all follow one rule; `least` items or more."""

    rule: Number
    least: int = 0

    def accepts(self, value: object) -> bool:
        """Whether the value is such a list."""
        return isinstance(value, list) and len(value) >= self.least and all(map(self.rule.accepts, value))

    def __str__(self) -> str:
        return f"a list like [64,32], each item {self.rule}"


@dataclass(frozen=True)
class Optional:
    """What the rule accepts, or `null`."""

    rule: Number

    def accepts(self, value: object) -> bool:
        """Whether the value is `None` or follows the rule."""
        return value is None or self.rule.accepts(value)

    def __str__(self) -> str:
        return f"{self.rule}, or null"


@dataclass(frozen=True)
class Word:
    """Text."""

    def accepts(self, value: object) -> bool:
        """Whether the value is a text that is not empty."""
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return "a text"


Rule = Number | Each | Optional | Word
FRACTION = Number(low=0, below=1)
COUNT = Number(low=1, whole=True)

RULES: dict[str, Rule] = {
    "seed": Number(low=0, high=2**32 - 1, whole=True),
    "objective": Word(),
    # optimizer
    "lr": Number(above=0),
    "weight_decay": Number(low=0),
    "momentum": FRACTION,
    "betas": Each(FRACTION, least=2),
    "alpha": FRACTION,
    "rho": FRACTION,
    "eps": Number(low=0),
    "opt": Word(),
    # scheduler
    "warmup_fraction": FRACTION,
    "min_lr_factor": Number(low=0, high=1),
    "start_lr_factor": Number(low=0, high=1),
    "peak_fraction": Number(above=0, below=1),
    "drop_fraction": Number(above=0, high=1),
    "gamma": Number(above=0, high=1),
    "power": Number(above=0),
    "patience": Number(low=0, whole=True),
    # data
    "batch_size": COUNT,
    "val_fraction": Number(above=0, below=1),
    "test_fraction": Number(above=0, below=1),
    "count": Number(low=30, whole=True),
    # model
    "hidden_dims": Each(COUNT),
    "channels": Each(COUNT, least=1),
    "kernel_size": Number(low=1, whole=True, odd=True),
    "dropout": FRACTION,
    "label_smoothing": FRACTION,
    "activation": Word(),
    "backbone": Word(),
    "weights": Word(),
    "image_size": Optional(Number(low=1, whole=True)),
    # augment
    "flip": Number(low=0, high=1),
    "shift": Number(low=0, high=1),
    "rotate": Number(low=0, high=180),
    "skew": Number(low=0, below=90),
    "scale": FRACTION,
    "probability": Number(low=0, high=1),
    "largest": Number(above=0, high=1),
    # trainer
    "max_epochs": COUNT,
    "limit_train_batches": Number(above=0),
    "limit_val_batches": Number(above=0),  # validation chooses the best epoch
    "limit_test_batches": Number(above=0),
    "accumulate_grad_batches": COUNT,
    "gradient_clip_val": Optional(Number(above=0)),
}


def leaves(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted path and the value of every key that holds no further keys; a list of plain items is a value."""
    for name in map(str, node):
        path = f"{prefix}{name}"
        value = node[name]
        if isinstance(value, DictConfig):
            yield from leaves(value, f"{path}.")
        elif isinstance(value, ListConfig) and any(isinstance(item, DictConfig) for item in value):
            for position, item in enumerate(value):
                yield from leaves(item, f"{path}[{position}].")
        else:
            yield path, OmegaConf.to_container(value) if isinstance(value, ListConfig) else value


def check_ranges(cfg: DictConfig) -> None:
    """Raise a ConfigError for the first value that its key's rule does not accept."""
    for path, value in leaves(cfg):
        rule = RULES.get(path.rpartition(".")[2])
        if rule is not None and not rule.accepts(value):
            raise reject(path, value, f"must be {rule}")
