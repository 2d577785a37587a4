"""A job of a sweep, as its directory tells of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard.run_directory import DONE, misplaced, read_result

CHECKPOINTS = ("last.ckpt", "previous.ckpt")
UNFINISHED = "waiting"


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        number: its place in the sweep, and the name of its directory.
        overrides: that make its config.
        folder: its directory.
        result: what `result.json` holds; empty if the file is missing or damaged.
    """

    number: int
    overrides: Sequence[str]
    folder: Path
    result: dict[str, Any] = field(default_factory=dict)

    def look(self) -> "Job":
        """Read what became of it, and return it."""
        self.result = read_result(self.folder)
        return self

    @property
    def status(self) -> str:
        """`completed`, `pruned`, `failed`, `interrupted`, or `waiting` where nothing tells."""
        return str(self.result.get("status", UNFINISHED))

    @property
    def score(self) -> float | None:
        """The best validation score of a completed job."""
        return self.best_so_far if self.status == "completed" else None

    @property
    def best_so_far(self) -> float | None:
        """The best validation score of a job that is completed or was pruned."""
        return self.result["objective"]["value"] if self.status in DONE else None

    @property
    def metrics(self) -> dict[str, float]:
        """The scores of the best epoch, and of the test."""
        return self.result.get("metrics") or {}

    @property
    def baseline(self) -> dict[str, Any]:
        """What always predicting the most frequent class scores, see `majority_baseline`."""
        found = self.result.get("baseline")
        return found if isinstance(found, dict) else {}

    def measure(self, name: str) -> float:
        """Return a metric of a completed job, or what it cost: `seconds`, `epochs` or `parameters`."""
        return float(self.result["metrics"][name] if "/" in name else self.result[name])

    @property
    def can_go_on(self) -> bool:
        """Whether it was stopped on its way, and left a checkpoint to go on from."""
        stopped = self.status in ("interrupted", UNFINISHED) and not any(misplaced(self.folder))
        return stopped and any((self.folder / "checkpoints" / name).is_file() for name in CHECKPOINTS)

    def values(self, objectives: Sequence[str]) -> list[float] | None:
        """Return what a job that is completed, or was pruned, has of each objective; `None` of another."""
        if len(objectives) == 1:
            return None if self.best_so_far is None else [self.best_so_far]
        return [self.measure(name) for name in objectives] if self.status == "completed" else None

    def varying(self, axes: Sequence[str]) -> str:
        """Return its values of the keys that vary."""
        chosen = [override for override in self.overrides if override.partition("=")[0] in axes]
        return " ".join(chosen) or "(one job)"
