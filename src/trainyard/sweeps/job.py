"""A job of a sweep: one run, whose state is read from its directory."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard.files import read_json
from trainyard.run_directory import misplaced

CHECKPOINTS = ("last.ckpt", "previous.ckpt")
WAITING = "waiting"
DONE = ("completed", "pruned")
STATUSES = (*DONE, "failed", "interrupted")


@dataclass
class Job:
    """One run of a sweep.

    Attributes:
        number: index of the job in the sweep, and the name of its directory.
        result: content of `result.json`; empty if the file is missing or invalid.
        sampler_state: what the sampler stores in the Optuna trial of a configuration that it has drawn.
    """

    number: int
    overrides: Sequence[str]
    folder: Path
    result: dict[str, Any] = field(default_factory=dict)
    sampler_state: Mapping[str, Any] = field(default_factory=dict)

    def refresh(self) -> "Job":
        """Read `result.json` again, and return the job."""
        self.result = {}
        with suppress(OSError, ValueError):
            content = read_json(self.folder / "result.json")
            self.result = content if is_valid_result(content) else {}
        return self

    @property
    def status(self) -> str:
        """`completed`, `pruned`, `failed`, `interrupted`, or `waiting` without a result."""
        return str(self.result.get("status", WAITING))

    @property
    def score(self) -> float | None:
        """The best validation score of a completed job."""
        return self.best_score if self.status == "completed" else None

    @property
    def best_score(self) -> float | None:
        """The best validation score of a completed or pruned job."""
        return self.result["objective"]["value"] if self.status in DONE else None

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the best epoch, and of the test."""
        return self.result.get("metrics") or {}

    @property
    def baseline(self) -> dict[str, Any]:
        """Scores of always predicting the most frequent class, see `trainyard.data.balance.majority_baseline`."""
        baseline = self.result.get("baseline")
        return baseline if isinstance(baseline, dict) else {}

    def measure(self, name: str) -> float:
        """Return a metric of a completed job, or its cost: `seconds`, `epochs` or `parameters`."""
        return float(self.result["metrics"][name] if "/" in name else self.result[name])

    @property
    def can_resume(self) -> bool:
        """Whether the job was interrupted and has a checkpoint."""
        stopped = self.status in ("interrupted", WAITING) and not any(misplaced(self.folder))
        return stopped and any((self.folder / "checkpoints" / name).is_file() for name in CHECKPOINTS)

    def axis_values(self, axes: Sequence[str]) -> str:
        """Return the overrides of the keys that vary, as text."""
        return " ".join(word for word in self.overrides if word.partition("=")[0] in axes) or "(one job)"


def is_valid_result(result: Any) -> bool:
    """Whether the content of `result.json` has all required fields."""
    if not isinstance(result, dict) or result.get("status") not in STATUSES:
        return False
    if not is_finite(result.get("seconds", 0.0)):
        return False
    if result["status"] not in DONE:
        return True
    objective, metrics = result.get("objective"), result.get("metrics")
    return (
        isinstance(objective, dict)
        and isinstance(objective.get("name"), str)
        and is_finite(objective.get("value"))
        and is_finite(objective.get("epoch"))
        and is_finite(result.get("epochs"))
        and isinstance(result.get("checkpoint"), str)
        and isinstance(metrics, dict)
        and objective["name"] in metrics
        and all(isinstance(value, float) or is_finite(value) for value in metrics.values())
    )


def is_finite(value: object) -> bool:
    """Whether a value is a finite number that a float can hold; a bool is not a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
