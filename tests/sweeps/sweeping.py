"""Sweeps started from the command line, in an empty folder."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal

REPOSITORY = Path(__file__).parents[2]
TINY = ("model=mlp", "model.hidden_dims=[8]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")
STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
FAULT = ("+callbacks.fault._target_=tests.sweeps.faults.Fault",)
EAGER = ("+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]",)


@dataclass
class Place:
    """An empty folder for sweeps that run two jobs at a time, each with one thread."""

    folder: Path

    def start(self, *words: str, slots: int | str | None = 2) -> subprocess.Popen[str]:
        """Start a sweep of tiny runs, as the leader of a process group, and return its process."""
        command = [sys.executable, "-m", "trainyard", "-m", *TINY, *words]
        command += [] if slots is None else [f"hydra.launcher.slots={slots}"]  # only of our launchers
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sweep(self, *words: str, code: int = 0, slots: int | str | None = 2) -> tuple[str, str]:
        """Run a sweep to its end; return its output and errors."""
        process = self.start(*words, slots=slots)
        output, errors = process.communicate(timeout=600)
        assert process.returncode == code, f"{process.returncode}\n{output}\n{errors}"
        return output, errors

    def of(self, name: str) -> Path:
        """Return the directory of a sweep."""
        return self.folder / "outputs" / "sweeps" / name

    def result(self, name: str, number: int) -> dict[str, Any]:
        """Return the content of `result.json` of a job; empty without one."""
        return Job(number, [], self.of(name) / str(number)).refresh().result

    def statuses(self, name: str, jobs: int) -> list[str]:
        """Return the status of each job."""
        return [Job(number, [], self.of(name) / str(number)).refresh().status for number in range(jobs)]

    def attempts(self, name: str) -> list[tuple[int, str]]:
        """Return job and state of each trial, from the journal."""
        trials = Journal(self.of(name), Objective("val/acc", "max")).trials()
        return [(trial.user_attrs["job"], STATES[trial.state]) for trial in trials]


def table(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def scores(folder: Path) -> dict[str, Any]:
    """Return the result of a run without its seconds."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {name: value for name, value in result.items() if name != "seconds"}


def until(happened: Callable[[], object], seconds: float = 300.0) -> None:
    """Wait until a condition is true; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.02)


def living(group: int) -> list[int]:
    """Return the running processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended
            continue
        if int(session) == group and state != "Z":
            found.append(int(folder.name))
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a sweep and its process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
