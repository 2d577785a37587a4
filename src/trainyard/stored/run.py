"""A run as its directory tells of it, whatever became of it."""

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from trainyard.files import read_json, read_text, relative
from trainyard.plain_yaml import MOST_BYTES, load_yaml
from trainyard.sweeps.job import is_valid_result
from trainyard.sweeps.stored import SWEEP_FILE as SWEEP

QUIET = 300  # seconds without a written line, after which a run without a result is not taken for a running one
BEST = Path("checkpoints") / "best.ckpt"
FILES = ("config.yaml", "result.json", "provenance.json", "run.log")


@dataclass(frozen=True)
class StoredRun:
    """What lies in a run's directory; what is not there, or cannot be read, is empty.

    Attributes:
        folder: of the run.
    """

    folder: Path

    @property
    def name(self) -> str:
        """What a person calls it: its name in outputs/runs, `SWEEP/3`, or its path."""
        parent = self.folder.absolute().parent
        if parent.name == "runs":
            return self.folder.name
        return f"{parent.name}/{self.folder.name}" if (parent / SWEEP).is_file() else relative(self.folder)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config, plain."""
        return {key: self.part(key) for key in self.texts}

    def config_in(self, folder: str) -> dict[str, Any]:
        """Return the config with every path in the run's directory as if it lay in another."""
        own = str(self.own.get("dir"))

        def moved(node: Any) -> Any:
            if isinstance(node, dict):
                return {key: moved(part) for key, part in node.items()}
            if isinstance(node, list):
                return [moved(part) for part in node]
            inside = isinstance(node, str) and (node == own or node.startswith((f"{own}/", f"{own}\\")))
            return folder + node[len(own) :] if inside else node

        found: dict[str, Any] = moved(self.config)
        return found

    @cached_property
    def texts(self) -> dict[str, str]:
        """The text of each key at the top of the config: to read all of a file takes ten times as long as its `run`."""
        text = ""
        with suppress(OSError, UnicodeDecodeError):
            text = read_text(self.folder / "config.yaml", MOST_BYTES)
        parts = re.split(r"^(?=[^\s\-#])", text, flags=re.MULTILINE)
        return {part.partition(":")[0]: part for part in parts if ":" in part}

    def part(self, key: str) -> Any:
        """Return what the config holds under a key at its top; `None` where it is not there or no YAML."""
        with suppress(yaml.YAMLError, AttributeError, ValueError):  # ValueError: a number of too many digits
            return load_yaml(self.texts.get(key, "")).get(key)
        return None

    @property
    def unreadable(self) -> list[str]:
        """The keys at the top of the config whose values are no YAML, or more than a config may contain."""
        return [key for key, text in self.texts.items() if not text.startswith("#") and not is_yaml(text)]

    @cached_property
    def own(self) -> dict[str, Any]:
        """The config's `run`: directory, choices and overrides."""
        found = self.part("run")
        return found if isinstance(found, dict) else {}

    @property
    def choices(self) -> dict[str, str]:
        """The option of each config group; of groups without one, none."""
        found = self.own.get("choices")
        return {group: str(option) for group, option in (found or {}).items() if option is not None}

    @property
    def overrides(self) -> list[str]:
        """What was typed."""
        return [str(word) for word in self.own.get("overrides") or []]

    @cached_property
    def result(self) -> dict[str, Any]:
        """What `result.json` holds where it is whole."""
        found = self.json("result.json")
        return found if is_valid_result(found) else {}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Code, packages and hardware; the latter two are dicts whatever the file says."""
        found = self.json("provenance.json")
        parts = {name: found.get(name) for name in ("packages", "hardware")}
        return {**found, **{name: part if isinstance(part, dict) else {} for name, part in parts.items()}}

    def json(self, name: str) -> dict[str, Any]:
        """Return the dict that a file holds."""
        with suppress(OSError, ValueError):
            found = read_json(self.folder / name)
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def metrics(self) -> dict[str, float]:
        """The scores of the best epoch, and of the test."""
        return self.result.get("metrics") or {}

    @property
    def checkpoint(self) -> Path:
        """Where the weights of the best epoch lie, if they were kept; never outside of the run."""
        named = self.folder / str(self.result.get("checkpoint") or BEST)
        return named if named.resolve().is_relative_to(self.folder.resolve()) else self.folder / BEST

    @cached_property
    def status(self) -> str:
        """How it ended; `running`, or `unfinished` when it is quiet; `broken` where the files do not tell."""
        if self.result:
            return str(self.result["status"])
        if not self.own or (self.folder / "result.json").exists():
            return "broken"
        now = time.time()  # a clock that was set back leaves files of the future
        return "running" if any(abs(now - when) < QUIET for when in self.written) else "unfinished"

    @property
    def written(self) -> list[float]:
        """When its files were written, in seconds since 1970."""
        paths = [self.folder, *(self.folder / name for name in (*FILES, "metrics.csv", "checkpoints", "tensorboard"))]
        return [path.stat().st_mtime for path in paths if path.exists()]

    @property
    def last_written(self) -> float:
        """When something was written, in seconds since 1970."""
        return max(self.written, default=0.0)

    @cached_property
    def started(self) -> datetime:
        """When it was started, in the time zone of this machine."""
        with suppress(TypeError, ValueError):
            return datetime.fromisoformat(self.provenance.get("started")).astimezone()  # type: ignore[arg-type]
        return datetime.fromtimestamp(self.last_written).astimezone()


def is_yaml(text: str) -> bool:
    """Whether a part of a config can be read."""
    with suppress(yaml.YAMLError, ValueError):
        return isinstance(load_yaml(text), dict)
    return False


def is_run(folder: Path) -> bool:
    """Whether a directory holds what runs write."""
    return any((folder / name).is_file() for name in FILES)
