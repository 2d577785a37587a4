"""A sweep that was killed and resumed draws and prunes as an uninterrupted one."""

import json
import math
import random
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages.journal import JournalFileBackend

from tests.sweeps.sweeping import EAGER, Place, living, until
from tests.sweeps.synthetic import completed, space
from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.pruning import JobPruner, Pruning
from trainyard.sweeps.stored import StoredSweep
from trainyard.sweeps.sweep import Sweep

ACCURACY = Objective("val/acc", "max")

EPOCHS = 9
RATES = "optimizer.lr=" + ",".join(str(round(0.0001 * 2**step, 5)) for step in range(12))
LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
TPE = partial(TPESampler, n_startup_trials=4)
KINDS: dict[str, tuple[list[str], Any, str]] = {
    "grid": ([RATES], None, "none"),
    "random": ([LR, "seed=0,1"], RandomSampler, "none"),
    "tpe": ([LR, "model.dropout=0,0.1,0.2"], TPE, "none"),
    "tpe of replicates": ([LR, "seed=0,1"], TPE, "none"),
    "median": ([RATES], None, "median"),
    "hyperband": ([RATES], None, "hyperband"),
    "tpe and hyperband": ([LR], TPE, "hyperband"),
}


class Killed(BaseException):
    """Simulates a kill: only files are left."""


class Simulation:
    """A sweep in this process, with simulated training, that may be killed at each event.

    Args:
        folder: of the sweep.
        kind: a key of `KINDS`.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.words, self.sampler, self.pruner = KINDS[kind]
        self.events = 0
        self.last = math.inf  # the event at which it is killed
        self.resumed = 0

    def event(self) -> None:
        self.events += 1
        if self.events >= self.last:
            raise Killed

    def run(self, last: float = math.inf) -> None:
        """Start or resume the sweep; it is killed at event `last`."""
        self.folder.mkdir(exist_ok=True, parents=True)
        self.events, self.last = 0, last
        stored = StoredSweep.create(
            self.folder, space(self.words, sampler="x" if self.sampler else ""), Objective("val/acc", "max")
        )
        sweep = Sweep(stored, 1, None, self.sampler, 0, 10, self.pruner)
        for job in sweep.jobs_to_run():
            sweep.start(job)
            self.train(job)
            sweep.finish(job, "")

    def train(self, job: Job) -> None:
        """Train a job whose score is best at a rate of 0.01, from its checkpoint if it has one."""
        checkpoint = job.folder / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        pruning, first = Pruning(job.folder, "val/acc", self.pruner), 1
        if checkpoint.exists():
            self.resumed += 1
            stored = json.loads(checkpoint.read_text())
            pruning.load_state_dict(stored["state"])
            first = stored["epoch"] + 1
        if self.pruner != "none":
            pruning.job_pruner = JobPruner.find(job.folder, self.pruner, EPOCHS)
        value = 0.0
        for epoch in range(first, EPOCHS + 1) if not pruning.pruned else ():
            value = score(job, epoch)
            if pruning.job_pruner is not None:
                pruned, pruning.rungs = pruning.job_pruner.report(epoch, value, pruning.rungs)
                pruning.pruned = pruned and epoch != EPOCHS
            self.event()
            if epoch % 2 == 0 or pruning.pruned or epoch == EPOCHS:  # checkpoints are not written in each epoch
                checkpoint.write_text(json.dumps({"epoch": epoch, "value": value, "state": pruning.state_dict()}))
            self.event()
            if pruning.pruned:
                break
        stored = json.loads(checkpoint.read_text())
        status = "pruned" if pruning.pruned else "completed"
        result = {**completed(stored["value"]), "status": status, "epochs": stored["epoch"]}
        (job.folder / "result.json").write_text(json.dumps(result))
        self.event()

    def decisions(self) -> list[tuple[list[str], str, int]]:
        """Return overrides, status and epochs of each job."""
        jobs = StoredSweep.find(str(self.folder)).jobs
        return [(list(job.overrides), job.status, job.result["epochs"]) for job in jobs]


def score(job: Job, epoch: int) -> float:
    values = dict(word.split("=") for word in job.overrides)
    noise = random.Random(" ".join([*job.overrides, str(epoch)])).uniform(-0.05, 0.05)
    return 1 - abs(math.log10(float(values["optimizer.lr"])) + 2) / 3 - 0.5 / epoch + noise


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Simulation]:
    """Return a factory of simulations, with an event before and after every line of the journal."""
    append, current = JournalFileBackend.append_logs, list[Simulation]()

    def killable(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        current[-1].event()
        append(self, logs)
        current[-1].event()

    def make(folder: Path, kind: str) -> Simulation:
        current.append(Simulation(folder, kind))
        return current[-1]

    monkeypatch.setattr(JournalFileBackend, "append_logs", killable)
    return make


def killed_until_done(simulation: Simulation, chance: random.Random, most: int) -> int:
    """Run a sweep that is killed repeatedly; return the number of kills."""
    for kills in range(1000):
        try:
            simulation.run(chance.randint(1, most))
        except Killed:
            continue
        return kills
    raise AssertionError("it does not end")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_simulated_kills_change_no_decision(
    simulate: Callable[[Path, str], Simulation], tmp_path: Path, kind: str, rounds: int
) -> None:
    whole = simulate(tmp_path / "whole" / "mine", kind)  # brackets depend on the name of the sweep
    whole.run()
    found = whole.decisions()
    assert len(found) == (12 if whole.sampler is None else 20 if "seed=0,1" in whole.words else 10)
    assert ("pruned" in {status for _, status, _ in found}) is (whole.pruner != "none")
    chance, kills, resumed = random.Random(kind), 0, 0
    for number in range(rounds):
        killed = simulate(tmp_path / str(number) / "mine", kind)
        kills += killed_until_done(killed, chance, most=max(30, whole.events // 2))
        resumed += killed.resumed
        assert killed.decisions() == found
    assert kills >= 2 * rounds
    assert resumed >= rounds // 2, "kills between two checkpoints of a job"


RUNS = ("data=penguins", "trainer.max_epochs=9", "sweep.name=mine", *EAGER)
GRID = ("optimizer.lr=0.0003,0.001,0.003,0.01,0.03,0.1,0.3",)
SEARCH = ("optimizer.lr=tag(log,interval(1e-4,1.0))", "sweep.trials=7")
SWEEPS = {
    "hyperband": (*GRID, "sweep.pruner=hyperband"),
    "grid": GRID,
    "median": (*GRID, "sweep.pruner=median"),
    "random": ("sweep=random", *SEARCH),
    "tpe": ("sweep=tpe", *SEARCH, "sweep.sampler.n_startup_trials=3"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SWEEPS)
def test_sigkill_changes_no_decision(tmp_path: Path, kind: str) -> None:
    """The sweep is killed before an epoch is reported, and after that but before it is saved."""
    whole = sweep(tmp_path / "whole", SWEEPS[kind], [])
    assert ("pruned" in {status for _, status, *_ in whole}) is (kind in ("hyperband", "median"))
    assert sweep(tmp_path / "killed", SWEEPS[kind], ["2 1", "6 2"]) == whole


def sweep(folder: Path, words: Sequence[str], kills: list[str]) -> list[tuple[str, str, int, float | None]]:
    """Run a sweep; return values, status, epochs and best score of each job."""
    folder.mkdir()
    place = Place(folder)
    callback = ("+callbacks.kill._target_=tests.sweeps.faults.KillSweep", f"+callbacks.kill.at={kills}")
    for start in range(len(kills) + 1):
        process = place.start(*words, *RUNS, *callback, slots=1)
        _, errors = process.communicate(timeout=600)
        until(lambda leader=process.pid: not living(leader))  # type: ignore[misc]
        assert process.returncode == (0 if start == len(kills) else -signal.SIGKILL), errors
    found = StoredSweep.find(str(place.of("mine")))
    axes = [axis for axis in found.space.axes if axis != "callbacks.kill.at"]
    return [(job.axis_values(axes), job.status, job.result["epochs"], job.best_score) for job in found.jobs]
