"""A sweep as its directory tells of it, whoever works on it."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from trainyard.errors import did_you_mean, listing, reject
from trainyard.files import check_path, read_json, relative, write_text
from trainyard.run_directory import DONE, LOCK
from trainyard.sweeps.answer.leaderboard import Row, leaderboard
from trainyard.sweeps.holder import HOLDER
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import SearchSpace, configuration_of
from trainyard.sweeps.space_file import FILE, keep, load

JOURNAL = "journal.log"
DRAWN = "drawn.json"
ROOT = Path("outputs") / "sweeps"


@dataclass
class StoredSweep:
    """The jobs of a sweep and what they scored.

    Attributes:
        folder: of the sweep.
        space: its jobs.
        objectives: the metrics that choose; the first is that of the runs.
    """

    folder: Path
    space: SearchSpace
    objectives: list[str] = field(default_factory=list)

    @property
    def objective(self) -> str:
        """The metric that chooses the best epoch of each run."""
        return self.objectives[0]

    @classmethod
    def find(cls, name: str) -> "StoredSweep":
        """Return the sweep of a directory, or of a name in outputs/sweeps.

        Raises:
            ConfigError: there is none, or it is damaged.
        """
        check_path("SWEEP", name)
        for folder in (Path(name), ROOT / name):
            if (folder / FILE).is_file():
                return cls(folder, *load(folder / FILE))
        known = sorted(file.parent.name for file in ROOT.glob(f"*/{FILE}"))
        problem = f"there is no such sweep{did_you_mean(name, known)}"
        raise reject("SWEEP", name, problem, listing(known) or "a directory with a sweep.yaml")

    @classmethod
    def take(cls, folder: Path, space: SearchSpace, objectives: list[str]) -> "StoredSweep":
        """Return the sweep of a search space in its directory, which must be empty or its own.

        Raises:
            ConfigError: the directory is another sweep's, or holds what no sweep has written.
        """
        foreign = sorted({path.name for path in folder.iterdir()} - {LOCK, HOLDER})
        if foreign and not (folder / FILE).exists():
            problem = f"{folder} holds other files ({listing(foreign)})"
            raise reject("sweep.name", folder.name, problem, "another name, or an empty folder")
        keep(space, objectives, folder)
        return cls(folder, space, objectives)

    @classmethod
    def seen(cls, folder: Path, space: SearchSpace, objectives: list[str]) -> "StoredSweep":
        """Return the sweep of a search space as its directory tells of it, if it is there; nothing is written.

        Raises:
            ConfigError: the directory is another sweep's.
        """
        if (folder / FILE).exists():
            keep(space, objectives, folder)
        return cls(folder, space, objectives)

    def discard(self) -> None:
        """Remove what a sweep writes before its first job, and its directory where nothing else is there."""
        for name in (FILE, JOURNAL, DRAWN, LOCK, HOLDER):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs, as their directories tell; of a search, those that have been drawn."""
        found = self.drawn() if self.space.sampler else self.space.jobs()
        return [Job(number, overrides, self.folder / str(number)).look() for number, overrides in enumerate(found)]

    def drawn(self) -> list[list[str]]:
        """Return the overrides of the jobs that a search has drawn so far.

        Raises:
            ConfigError: the file that keeps them is damaged.
        """
        file = self.folder / DRAWN
        try:
            found: list[list[str]] = read_json(file)
            return [list(map(str, words)) for words in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            problem = f"{relative(file)} cannot be read, and no other file tells what its jobs are"
            raise reject("sweep.name", self.folder.name, problem, "another sweep.name") from error

    @property
    def configurations(self) -> int:
        """How many there are, as far as they have been drawn; their seeds and folds do not count."""
        return len({configuration_of(job.overrides) for job in self.jobs})

    def jobs_of(self, trials: int | None) -> int:
        """Return how many jobs there are, with those that a search of so many configurations has still to draw."""
        return len(self.jobs) + max(0, (trials or 0) - self.configurations) * len(self.space.replicates)

    def keep_drawn(self) -> None:
        """Write what the jobs of a search consist of, whose directories may go."""
        write_text(self.folder / DRAWN, json.dumps([list(job.overrides) for job in self.jobs]))

    @property
    def done(self) -> bool:
        """Whether all jobs are, as far as they have been drawn."""
        return all(job.status in DONE for job in self.jobs)

    @property
    def rows(self) -> list[Row]:
        """The leaderboard."""
        return leaderboard(self.jobs, list(self.space.axes), self.objectives)
