"""A run that is read from its directory, which may be incomplete or damaged."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from trainyard.io.files import MAX_CONFIG, load_yaml, read_json, read_text, relative
from trainyard.run.run_directory import DONE, RESULT, read_result
from trainyard.sweeps.stored import SWEEP_FILE

QUIET = 300  # seconds without a write, after which a run without a result no longer counts as running
BEST = Path("checkpoints") / "best.ckpt"
FILES = ("config.yaml", RESULT, "provenance.json", "run.log")


@dataclass(frozen=True)
class StoredRun:
    """The contents of a run's directory; values that are missing or cannot be read are empty."""

    folder: Path

    @property
    def name(self) -> str:
        """The name for commands: that in outputs/runs, `SWEEP/3`, or the path."""
        parent = self.folder.absolute().parent
        if parent.name == "runs":
            return self.folder.name
        return f"{parent.name}/{self.folder.name}" if (parent / SWEEP_FILE).is_file() else relative(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config as plain values."""
        return {key: self.section(key) for key in self.section_texts}

    def config_moved_to(self, folder: str) -> dict[str, Any]:
        """Return the config with every path in the run's directory moved to another directory."""
        own = str(self.run_config.get("dir"))

        def moved(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: moved(part) for key, part in node.items()}
            if isinstance(node, list):
                return [moved(part) for part in node]
            inside = isinstance(node, str) and (node == own or node.startswith((f"{own}/", f"{own}\\")))
            return folder + node[len(own) :] if inside else node

        config: dict[str, Any] = moved(self.config)
        return config

    @cached_property
    def section_texts(self) -> dict[str, str]:
        """The YAML text of each top-level key; parsing only `run` is ten times faster than parsing the whole file."""
        text = ""
        with suppress(OSError, UnicodeDecodeError):
            text = read_text(self.folder / "config.yaml", MAX_CONFIG)
        parts = re.split(r"^(?=[^\s\-#])", text, flags=re.MULTILINE)
        return {part.partition(":")[0]: part for part in parts if ":" in part}

    def parse(self, key: str) -> dict[str, Any]:
        """Return a top-level key of the config with its value; an empty dict if it is missing or invalid YAML."""
        with suppress(yaml.YAMLError, ValueError):  # ValueError: a number with too many digits
            return as_dict(load_yaml(self.section_texts.get(key, "")))
        return {}

    def section(self, key: str) -> Any:
        """Return the value of a top-level key of the config; `None` if it is missing or invalid YAML."""
        return self.parse(key).get(key)

    @property
    def invalid_keys(self) -> list[str]:
        """The top-level keys of the config with invalid values."""
        return [key for key, text in self.section_texts.items() if not text.startswith("#") and not self.parse(key)]

    @cached_property
    def run_config(self) -> dict[str, Any]:
        """The key `run` of the config: directory, choices and overrides."""
        first, *blocks = re.split(r"^(?=  [^\s\-])", self.section_texts.get("run", ""), flags=re.MULTILINE)
        if first == "run:\n":  # otherwise someone has edited the file
            with suppress(yaml.YAMLError, ValueError, AttributeError):  # AttributeError: not a dict
                return {key: value for block in blocks for key, value in load_block(block).items()}
        return as_dict(self.section("run"))

    @property
    def choices(self) -> dict[str, str]:
        """The chosen option of each config group; groups without an option are left out."""
        return {
            name: str(option) for name, option in as_dict(self.run_config.get("choices")).items() if option is not None
        }

    @property
    def overrides(self) -> list[str]:
        """The overrides of the command."""
        words = self.run_config.get("overrides")
        return list(map(str, words)) if isinstance(words, list) else []

    @cached_property
    def result(self) -> dict[str, Any]:
        """The contents of `result.json`."""
        return read_result(self.folder)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Code, packages and hardware; `packages` and `hardware` are always dicts."""
        found: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            found = as_dict(read_json(self.folder / "provenance.json"))
        return {**found, **{name: as_dict(found.get(name)) for name in ("packages", "hardware")}}

    @property
    def user_code(self) -> dict[str, dict[str, Any]]:
        """Path, digest and commit of the user's own packages by name; invalid entries are left out."""
        states = {name: as_dict(state) for name, state in as_dict(self.provenance.get("user_code")).items()}
        keys = ("path", "digest")
        return {name: state for name, state in states.items() if all(isinstance(state.get(key), str) for key in keys)}

    @property
    def fingerprint(self) -> dict[str, dict[str, Any]] | None:
        """Counts and digests of the data, by split; `None` if the run has none."""
        return as_dict(as_dict(self.result.get("data")).get("fingerprint")) or None

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the best epoch, and of the test."""
        return as_dict(self.result.get("metrics"))

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The values outside of the config, by column of the table of runs; `None` for unknown ones."""
        objective = self.result["objective"] if self.status in DONE else {}
        return {
            "name": self.name,
            "path": str(self.folder),
            "started": self.started.isoformat(timespec="seconds"),
            "status": self.status,
            "overrides": " ".join(self.overrides),
            **self.choices,
            "objective": objective.get("name"),
            "best": objective.get("value"),
            "epoch": objective.get("epoch"),
            **{name: self.result.get(name) for name in ("epochs", "seconds", "parameters")},
            **self.metrics,
        }

    def value(self, key: str) -> Any:
        """Return a column, metric, option or dotted key of the config; raise a KeyError if the run has none."""
        if self.columns.get(key) is not None:
            return self.columns[key]
        first = key.partition(".")[0]
        return dict(flatten({first: self.section(first)} if first in self.section_texts else {}))[key]

    @property
    def keys(self) -> list[str]:
        """The keys that `value` accepts."""
        config = {name: part for name, part in self.config.items() if name != "run"}
        return [*(name for name, value in self.columns.items() if value is not None), *dict(flatten(config))]

    @property
    def checkpoint(self) -> Path:
        """The path of the best checkpoint, whether it exists or not; always inside of the run's directory."""
        path = self.folder / str(self.result.get("checkpoint") or BEST)
        return path if path.resolve().is_relative_to(self.folder.resolve()) else self.folder / BEST

    @cached_property
    def status(self) -> str:
        """The status in the result; without one `running` or `unfinished`, or `broken` if files are damaged."""
        if self.result:
            return str(self.result["status"])
        if not self.run_config or (self.folder / RESULT).exists():
            return "broken"
        now = time.time()  # if the clock was set back, times lie in the future
        return "running" if any(abs(now - when) < QUIET for when in self.write_times) else "unfinished"

    @property
    def write_times(self) -> list[float]:
        """The modification times of the files."""
        paths = [self.folder, *(self.folder / name for name in (*FILES, "metrics.csv", "checkpoints", "tensorboard"))]
        return [path.stat().st_mtime for path in paths if path.exists()]

    @cached_property
    def started(self) -> datetime:
        """The time of the start, in the local time zone."""
        with suppress(TypeError, ValueError):
            return datetime.fromisoformat(self.provenance.get("started")).astimezone()  # type: ignore[arg-type]
        return datetime.fromtimestamp(max(self.write_times, default=0.0)).astimezone()


@lru_cache(maxsize=1000)
def load_block(text: str) -> Any:
    """Parse a part of a config; the jobs of a sweep have the same choices. Do not change the result."""
    return load_yaml(text)


def as_dict(value: Any) -> dict[str, Any]:
    """Return a value if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def flatten(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every leaf of nested dicts; an empty dict is a leaf."""
    if isinstance(node, dict) and (node or not path):
        for name, part in node.items():
            yield from flatten(part, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def is_run(folder: Path) -> bool:
    """Return whether a directory contains any file of a run."""
    return any((folder / name).is_file() for name in FILES)
