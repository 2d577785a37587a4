"""The keys, groups and options that a command may name, and corrections for names that do not exist."""

import argparse
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.config.composition import CONF_DIR, compose, parse_override, quote_value
from trainyard.config.constraints import rule
from trainyard.io.errors import ConfigError

# Correct key, or its last part: other names for it. Keys with a `+` are arguments of lightning.Trainer.
MEANT = {
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
    "scheduler": "sched schedule lr_scheduler lr_schedule",
    "augment": "augmentation augmentations transform transforms",
    "callbacks": "callback",
    "experiment": "exp",
    "accelerator": "device",
    "accelerator=gpu trainer.devices": "gpu gpus ngpus num_gpus",
    "+trainer.max_steps": "max_steps steps iterations",
    **{
        f"+trainer.{name}": name
        for name in (
            "fast_dev_run",
            "max_time",
            "limit_train_batches",
            "limit_val_batches",
            "limit_test_batches",
            "overfit_batches",
            "val_check_interval",
            "check_val_every_n_epoch",
        )
    },
}
ALIASES = {typed: meant for meant, names in MEANT.items() for typed in names.split()}
VALUES = {  # value typed: value meant, by key
    "accelerator": {"cuda": "gpu", "cuda:0": "gpu", "metal": "mps"},
    "trainer.precision": {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"},
}
HYDRA_FLAGS = (
    *(("--help", "-h"), ("--hydra-help",), ("--version",), ("--resolve",), ("--run", "-r"), ("--multirun", "-m")),
    ("--shell-completion", "-sc"),
)
HYDRA_OPTIONS = (  # with a value
    *(("--package", "-p"), ("--config-path", "-cp"), ("--config-name", "-cn"), ("--config-dir", "-cd")),
    ("--experimental-rerun",),
)
TAKES_VALUE = {name: False for names in (*HYDRA_FLAGS, ("--info", "-i")) for name in names} | {
    name: True for names in (*HYDRA_OPTIONS, ("--cfg", "-c")) for name in names
}
RESUME = "resume"
MULTIRUN = ("-m", "--multirun")
KEY = re.compile(r"(?P<mark>\+{0,2})(?P<key>[\w./@-]+)=(?P<value>.*)", re.DOTALL)


def overrides_of(words: Iterable[str]) -> list[str]:
    """Return words without the options of Hydra and their values."""
    found: list[str] = parse_options(words).overrides
    return found


def hydra_parser() -> argparse.ArgumentParser:
    """Return a parser of Hydra's own options; Hydra's is private (see tests/cli/test_suggestions.py)."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    for names in HYDRA_FLAGS:
        parser.add_argument(*names, action="store_true")
    for names in HYDRA_OPTIONS:
        parser.add_argument(*names)
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    info = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=info)
    return parser


def options_first(words: Iterable[str]) -> list[str]:
    """Return words with Hydra's options before the overrides: Hydra rejects `model=cnn -m seed=0,1`."""
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(words)
    for word in rest:
        (options if word.startswith("-") else overrides).append(word)
        if TAKES_VALUE.get(word):
            options += [value for value in [next(rest, None)] if value is not None]
    return options + overrides


def parse_options(words: Iterable[str]) -> argparse.Namespace:
    """Return Hydra's options among words, and the overrides.

    Raises:
        argparse.ArgumentError: an option is none of Hydra's.
    """
    parser = hydra_parser()
    parser.exit_on_error = False  # which would print the usage
    return parser.parse_known_args(list(words))[0]


@cache
def keys_of(options: tuple[str, ...]) -> list[str]:
    """Return the dotted keys of the config that options make, and `resume`; those at the top come first."""
    try:
        cfg = compose(options)
    except (ConfigError, HydraException, OmegaConfBaseException):  # an option of a folder of one's own
        cfg = compose()
    found = [path for path in dotted_keys(OmegaConf.to_container(cfg)) if path.partition(".")[0] != "run"]
    return sorted({RESUME, *found}, key=lambda path: path.count("."))


def dotted_keys(values: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of all keys of nested dicts."""
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{name}.")


@dataclass(frozen=True)
class OverrideCorrector:
    """The keys and groups that the words of a command may name.

    Attributes:
        words: as typed.
    """

    words: Sequence[str]

    @cached_property
    def folders(self) -> list[Path]:
        """The folders of configs."""
        own = parse_options(self.words).config_dir
        return [CONF_DIR, *([Path(own)] if own else [])]

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The options of each group."""
        found: dict[str, list[str]] = {}
        for folder in (group for home in self.folders for group in home.iterdir() if group.is_dir()):
            found.setdefault(folder.name, []).extend(sorted(file.stem for file in folder.glob("*.yaml")))
        return found

    @cached_property
    def keys(self) -> list[str]:
        """The dotted keys of the config that the words with a known option make."""
        pairs = {word: word.split("=", 1) for word in map(self.with_value, self.words) if "=" in word}
        chosen = [word for word, (group, option) in pairs.items() if option in self.groups.get(group, ())]
        return keys_of(tuple(chosen))

    def correct(self) -> list[str]:
        """Return the words as they were probably meant."""
        words = [fixed for word in self.joined(list(self.without_dashes())) for fixed in self.with_key(word)]
        words = [self.with_value(word) for word in words]
        multirun = not set(MULTIRUN).isdisjoint(words)
        sweeps = [
            word for word in overrides_of(words) if (override := parse_override(word)) and override.is_sweep_override()
        ]
        return words if multirun or not sweeps else ["-m", *words]

    def without_dashes(self) -> Iterator[str]:
        """Yield the words, `--lr=0.1` and `--lr 0.1` as `lr=0.1`."""
        known = {**TAKES_VALUE, "--trusted-packages": True}  # the last of resume=RUN
        words = iter(self.words)
        for word in words:
            name, has_value, _ = word.partition("=")
            if name in known:
                yield word
                if known[name] and not has_value:
                    yield next(words, "")
            elif word.startswith("--"):
                key = name.lstrip("-").replace("-", "_") + word[len(name) :]
                yield key if has_value else f"{key}={next(words, 'true')}"
            else:
                yield word

    def joined(self, words: list[str]) -> Iterator[str]:
        """Yield the words, joining those that a space has split."""
        place = 0
        while place < len(words):
            word, place = words[place], place + 1
            while place < len(words) and (glue := self.glue(word, words[place], words[place + 1 :])) is not None:
                word, place = f"{word.rstrip(':')}{glue}{words[place]}", place + 1
            group, _, option = re.sub("[:/]", "=", word, count=1).partition("=")
            yield f"{group}={option}" if "=" not in word and option in self.groups.get(group, ()) else word

    def glue(self, word: str, after: str, rest: Sequence[str]) -> str | None:
        """Return the text to insert between two words that a space has split; `None` if they do not belong together."""
        _, is_override, value = word.partition("=")
        if word.startswith("-") or after.startswith(("-", "+", "~")):
            return None
        if is_override:
            opened = any(value.count(mark) > value.count(end) for mark, end in ("[]", "{}", "()"))
            if not value or value.endswith(",") or after.startswith(",") or opened:
                return "" if "=" not in after or opened else None
            begins = rest and (rest[0].startswith("=") or rest[0] in self.groups.get(after, ()))
            return " " if "=" not in after and not begins else None
        if after.startswith("="):
            return ""
        bare = "=" not in after and (not rest or not rest[0].startswith("="))
        return "=" if bare and (word.endswith(":") or word in (*self.groups, *self.keys)) else None

    def with_key(self, word: str) -> list[str]:
        """Return a word with its key corrected, after other overrides that the correction requires."""
        found = KEY.fullmatch(word)
        if not found or found["key"].startswith(("hydra", "-")) or set("@/") & set(found["key"]):
            return [word]
        [*more, key] = self.meant(found["key"]).split()
        mark = "" if key.startswith("+") or key != found["key"] else found["mark"]
        return [*more, f"{mark}{key}={found['value']}"]

    def meant(self, key: str) -> str:
        """Return the corrected key, or the key itself if no correction is known."""
        if key in self.keys or key in self.groups:
            return key
        key = key.replace("-", "_")
        first, _, rest = key.partition(".")
        group = ALIASES.get(first.lower(), first)
        if rest and f"{group}.{rest}" in self.keys:
            return f"{group}.{rest}"
        last = key.rpartition(".")[2].lower()
        name = ALIASES.get(last, last)
        if name in (*self.groups, "hydra.run.dir") or not name.isidentifier():
            return name if not rest or "." in name else key
        if named := [path for path in self.keys if path.rpartition(".")[2] == name]:
            return named[0]
        return self.nearest(key)

    def nearest(self, key: str) -> str:
        """Return the key that is spelt most like another: of the same parent, or with any parent."""
        parent = key.rpartition(".")[0]
        siblings = [path for path in [*self.keys, *self.groups] if path.rpartition(".")[0] == parent]
        found = difflib.get_close_matches(key, siblings, n=1, cutoff=0.75)
        by_name = {path.rpartition(".")[2]: path for path in reversed(self.keys)}
        found += [by_name[name] for name in difflib.get_close_matches(key.rpartition(".")[2], by_name, 1, 0.8)]
        return found[0] if found else key

    def with_value(self, word: str) -> str:
        """Return a word with its option corrected, or with its value quoted if Hydra requires it."""
        found = KEY.fullmatch(word)
        if not found:
            return word
        key, value = found["key"], found["value"]
        value = VALUES.get(key, {}).get(value, value)
        options = [*self.groups.get(key, ()), *(["latest"] if key == RESUME else ())]
        if options and value not in options:
            near = difflib.get_close_matches(value.lower(), options, n=1, cutoff=0.7)
            value = near[0] if near else value
        word = f"{found['mark']}{key}={value}"
        kind, override = rule(key), parse_override(word)
        if options or (override and override.is_sweep_override()):
            return word
        fits = kind is None or (override and kind.accepts(override.value()))
        if override and fits:
            return word
        return text if (text := quote_value(word)) and (kind is None or kind.accepts(value)) else word
