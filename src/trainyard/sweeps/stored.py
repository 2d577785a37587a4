"""A sweep as it is stored in its directory: search space, jobs and results."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from trainyard.config.objective import Objective
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.files import (
    MAX_CONFIG,
    check_path,
    check_regular_files,
    load_yaml,
    read_json,
    read_text,
    relative,
    write_text,
)
from trainyard.io.resources import is_disk_full
from trainyard.run.directory_check import check_not_current
from trainyard.run.run_directory import DONE, LOCK, lock
from trainyard.sweeps.job import Job
from trainyard.sweeps.leaderboard.ranking import Row, leaderboard
from trainyard.sweeps.search_space import SearchSpace, configuration_of

SWEEP_FILE, JOURNAL, DRAWN, HOLDER = "sweep.yaml", "journal.log", "drawn.json", "holder"
ROOT = Path("outputs") / "sweeps"
CHECKSUM = re.compile(r"# crc32 of the lines below: ([0-9a-f]{8})\n")


@dataclass
class StoredSweep:
    """The jobs of a sweep and their results; `objective` is the metric by which each run chooses its best epoch."""

    folder: Path
    space: SearchSpace
    objective: Objective

    @classmethod
    def find(cls, name: str) -> "StoredSweep":
        """Return the sweep in a directory or with a name in outputs/sweeps; a ConfigError if it cannot be read."""
        check_path("SWEEP", name)
        for folder in (Path(name), ROOT / name):
            if (folder / SWEEP_FILE).is_file():
                return cls(folder, *read_space(folder / SWEEP_FILE))
        known = sorted(file.parent.name for file in ROOT.glob(f"*/{SWEEP_FILE}"))
        problem = f"unknown sweep{did_you_mean(name, known)}"
        raise config_error("SWEEP", name, problem, join_limited(known) or "a directory with a sweep.yaml")

    @classmethod
    def create(cls, folder: Path, space: SearchSpace, objective: Objective) -> "StoredSweep":
        """Write `sweep.yaml`; a ConfigError if the directory contains another sweep or other files."""
        sweep = cls.preview(folder, space, objective)
        if not (folder / SWEEP_FILE).exists():
            if foreign := sorted({path.name for path in folder.iterdir()} - {LOCK, HOLDER}):
                problem = f"{folder} contains other files ({join_limited(foreign)})"
                raise config_error("sweep.name", folder.name, problem, "another name, or an empty folder")
            write_space(space, objective, folder / SWEEP_FILE)
        return sweep

    @classmethod
    def preview(cls, folder: Path, space: SearchSpace, objective: Objective) -> "StoredSweep":
        """Return the sweep of a search space, with its results; a ConfigError if the directory has another sweep."""
        if (folder / SWEEP_FILE).exists():
            before, _ = read_space(folder / SWEEP_FILE)
            if lines := differences(identity(before), identity(space)):
                accepted = "the same command, to resume it; or another sweep.name"
                raise ConfigError(f"sweep.name={folder.name}: it is another sweep\n{lines}\n  accepted: {accepted}")
        return cls(folder, space, objective)

    def discard(self) -> None:
        """Remove the files that are written before the first job, and the directory if it is empty then."""
        for name in (SWEEP_FILE, JOURNAL, DRAWN, LOCK, HOLDER):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs with their results; of a search, the jobs drawn so far."""
        job_overrides = self.read_drawn() if self.space.sampler else self.space.jobs()
        return [job.refresh() for job in Job.from_overrides(job_overrides, self.folder)]

    def read_drawn(self) -> list[list[str]]:
        """Return the overrides of the jobs that a search has drawn; a ConfigError if the file is damaged."""
        file = self.folder / DRAWN
        try:
            return [list(map(str, overrides)) for overrides in read_json(file)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            problem = f"{relative(file)}, the list of its jobs, cannot be read"
            raise config_error("sweep.name", self.folder.name, problem, "another sweep.name") from error

    def write_drawn(self) -> None:
        """Write the overrides of the jobs that a search has drawn."""
        write_text(self.folder / DRAWN, json.dumps([list(job.overrides) for job in self.jobs]))

    @property
    def configurations(self) -> int:
        """The number of configurations so far, without replicates."""
        return len({configuration_of(job.overrides) for job in self.jobs})

    def total_jobs(self, trials: int | None) -> int:
        """Return the number of jobs, including those that a search of `trials` configurations has yet to draw."""
        return len(self.jobs) + max(0, (trials or 0) - self.configurations) * len(self.space.replicates)

    @property
    def done(self) -> bool:
        """Whether all jobs are completed or pruned."""
        return all(job.status in DONE for job in self.jobs)

    @property
    def rows(self) -> list[Row]:
        """The leaderboard."""
        return leaderboard(self.jobs, list(self.space.axes), self.objective)


def read_space(file: Path) -> tuple[SearchSpace, Objective]:
    """Return the search space and the objective of a `sweep.yaml`; a ConfigError if it is damaged."""
    try:
        text = read_text(file, MAX_CONFIG)
        check_complete(text)
        content: Any = load_yaml(text)
        OmegaConf.create(content)  # checks the syntax of interpolations
        values, objective = content["values"], Objective.from_stored(content)
        intervals, zipped = content.get("intervals", []), content.get("zipped", [])
        where, sampler = content.get("where", ""), content.get("sampler", "")
        lists = [*values.values(), intervals, zipped]
        texts = [content["objective"], where, sampler, *values, *(text for each in lists for text in each)]
        has_lists = all(isinstance(each, list) for each in lists) and all(values.values())
        if has_lists and all(isinstance(text, str) for text in texts):
            space = SearchSpace(values, tuple(intervals), tuple(zipped), where, sampler)
            space.check()
            return space, objective
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, YAMLError, OmegaConfBaseException):
        pass
    problem = f"{relative(file)} cannot be read"
    raise config_error(
        "sweep.name", file.absolute().parent.name, problem, "another sweep.name, or the folder moved away"
    )


def write_space(space: SearchSpace, objective: Objective, file: Path) -> None:
    """Write the `sweep.yaml` of a sweep."""
    options: dict[str, Any] = {"intervals": list(space.intervals), "zipped": list(space.zipped)}
    options |= {"where": space.where, "sampler": space.sampler}
    metric = {"objective": objective.name, "objective_mode": objective.mode}
    content = {**metric, "values": space.values, **{k: v for k, v in options.items() if v}}
    text = OmegaConf.to_yaml(OmegaConf.create(content))
    write_text(file, f"# crc32 of the lines below: {crc32(text.encode()):08x}\n{text}")


def check_complete(text: str) -> None:
    """Raise a ValueError if a `sweep.yaml` is truncated: its first half is the YAML of a smaller sweep.

    Files of earlier versions have no checksum.
    """
    checksum = CHECKSUM.match(text)
    if checksum and int(checksum[1], 16) != crc32(text[checksum.end() :].encode()):
        raise ValueError("truncated")


def identity(space: SearchSpace) -> dict[str, list[str]]:
    """Return the keys and values that define a sweep, as in its command."""
    options = {"sweep.zip": list(space.zipped), "sweep.where": [space.where], "sweep.sampler": [space.sampler]}
    return {**space.values, **{key: values for key, values in options.items() if any(values)}}


def differences(before: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]) -> str:
    """Return a line for each key whose values differ; empty if all are the same, in the same order."""
    if list(before.items()) == list(now.items()):
        return ""
    lines = []
    for key in dict.fromkeys([*before, *now]):
        texts = [",".join(values[key]) if key in values else "nothing" for values in (before, now)]
        if texts[0] != texts[1]:
            lines.append(f"  {key}: before {texts[0]}, now {texts[1]}")
    return "\n".join(lines) or "  the keys or values are in another order"


@contextmanager
def lock_sweep(folder: Path) -> Iterator[None]:
    """Create the directory of a sweep if necessary, and lock it; a ConfigError if another process has locked it."""
    check_path("hydra.sweep.dir", str(folder))
    check_not_current("hydra.sweep.dir", folder, "a folder that is new, empty, or of this sweep")
    if folder.is_dir():
        check_regular_files("hydra.sweep.dir", folder)
    is_new = not (folder / LOCK).exists()
    owner = "another process"
    with suppress(OSError):
        owner = f"process {read_text(folder / HOLDER).strip()}"
    locked = config_error("sweep.name", folder.name, f"{owner} is running it", "another sweep.name, or later")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_file = lock(folder, locked)
    except OSError as error:
        if is_disk_full(error):
            raise
        problem = f"cannot be written ({error.strerror})"
        raise config_error("hydra.sweep.dir", folder, problem, "a folder with write permission") from error
    try:
        write_text(folder / HOLDER, f"{os.getpid()}\n")
        yield
    except ConfigError:  # nothing has started
        if is_new:
            (folder / LOCK).unlink(missing_ok=True)
        raise
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        if lock_file is not None:
            lock_file.release()
