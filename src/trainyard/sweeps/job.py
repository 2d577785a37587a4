"""A job of a sweep: one run, whose state is read from its directory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard.io.files import write_json
from trainyard.run.run_directory import DONE, RESULT, read_result

CHECKPOINTS = ("last.ckpt", "previous.ckpt")
WAITING = "waiting"


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

    @classmethod
    def from_overrides(cls, job_overrides: Iterable[Sequence[str]], folder: Path, first: int = 0) -> "list[Job]":
        """Return the jobs of a sweep in a directory, numbered from `first`."""
        numbered = enumerate(job_overrides, start=first)
        return [cls(number, overrides, folder / str(number)) for number, overrides in numbered]

    def refresh(self) -> "Job":
        """Read `result.json` again, and return the job."""
        self.result = read_result(self.folder)
        return self

    def write_error(self, error: str) -> None:
        """Write the result of a job whose process failed, unless it has written one itself."""
        if self.refresh().status != "failed":
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / RESULT, {"status": "failed", "error": error})
            self.refresh()

    @property
    def status(self) -> str:
        """`completed`, `pruned`, `failed`, `interrupted`, or `waiting` without a result."""
        return str(self.result.get("status", WAITING))

    @property
    def has_ended(self) -> bool:
        """Whether the job is completed, pruned or failed."""
        return self.status in (*DONE, "failed")

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
        """The simplest prediction and its scores, see `DataModule.baseline`."""
        baseline = self.result.get("baseline")
        return baseline if isinstance(baseline, dict) else {}

    @property
    def can_resume(self) -> bool:
        """Whether the job was interrupted and has a checkpoint."""
        stopped = self.status in ("interrupted", WAITING)
        return stopped and any((self.folder / "checkpoints" / name).is_file() for name in CHECKPOINTS)

    def axis_values(self, axes: Sequence[str]) -> str:
        """Return the overrides of the keys that vary, as text."""
        return " ".join(word for word in self.overrides if word.partition("=")[0] in axes) or "(one job)"
