"""A sweep as its directory tells of it, whoever works on it."""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trainyard.config import objective_mode
from trainyard.errors import did_you_mean, listing, reject
from trainyard.sweeps.answer.leaderboard import Row, leaderboard
from trainyard.sweeps.holder import HOLDER, LOCK
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import FILE, SearchSpace

JOURNAL = "journal.log"
ROOT = Path("outputs") / "sweeps"


@dataclass
class StoredSweep:
    """The jobs of a sweep and what they scored.

    Attributes:
        folder: of the sweep.
        space: its jobs.
        objective: the metric that chooses.
    """

    folder: Path
    space: SearchSpace
    objective: str

    @classmethod
    def find(cls, name: str) -> "StoredSweep":
        """Return the sweep of a directory, or of a name in outputs/sweeps.

        Raises:
            ConfigError: there is none, or it is damaged.
        """
        for folder in (Path(name), ROOT / name):
            if (folder / FILE).is_file():
                return cls(folder, *SearchSpace.load(folder / FILE))
        known = sorted(file.parent.name for file in ROOT.glob(f"*/{FILE}"))
        problem = f"there is no such sweep{did_you_mean(name, known)}"
        raise reject("SWEEP", name, problem, listing(known) or "a directory with a sweep.yaml")

    @classmethod
    def take(cls, folder: Path, space: SearchSpace, objective: str) -> "StoredSweep":
        """Return the sweep of a search space in its directory, which must be empty or its own.

        Raises:
            ConfigError: the directory is another sweep's, or holds what no sweep has written.
        """
        foreign = sorted({path.name for path in folder.iterdir()} - {LOCK, HOLDER})
        if foreign and not (folder / FILE).exists():
            problem = f"{folder} holds other files ({listing(foreign)})"
            raise reject("sweep.name", folder.name, problem, "another name, or an empty folder")
        space.keep_in(folder, objective)
        return cls(folder, space, objective)

    @classmethod
    def seen(cls, folder: Path, space: SearchSpace, objective: str) -> "StoredSweep":
        """Return the sweep of a search space as its directory tells of it, if it is there; nothing is written.

        Raises:
            ConfigError: the directory is another sweep's.
        """
        if (folder / FILE).exists():
            space.keep_in(folder, objective)
        return cls(folder, space, objective)

    def discard(self) -> None:
        """Remove what a sweep writes before its first job, and its directory where nothing else is there."""
        for name in (FILE, JOURNAL, LOCK, HOLDER):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs, as their directories tell."""
        found = enumerate(self.space.jobs())
        return [Job(number, overrides, self.folder / str(number)).look() for number, overrides in found]

    @property
    def completed(self) -> bool:
        """Whether all jobs are."""
        return all(job.status == "completed" for job in self.jobs)

    @property
    def rows(self) -> list[Row]:
        """The leaderboard."""
        return leaderboard(self.jobs, list(self.space.axes), objective_mode(self.objective))
