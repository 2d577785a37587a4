"""Jobs that end early because others did better at the same epoch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.sweeps.sweeping import Place
from tests.sweeps.synthetic import completed
from trainyard.config.composition import compose
from trainyard.config.objective import Objective
from trainyard.run.training import train
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.pruning import JobPruner

RUN = ("data=penguins", "model=mlp", "model.hidden_dims=[4]", "trainer.max_epochs=6", "logger=csv", "callbacks=none")


def finished(folder: Path, scores: list[float], overrides: Sequence[Sequence[str]] = ()) -> Journal:
    """Return the journal of a sweep whose jobs had the same score in each epoch."""
    journal = Journal(folder, Objective("val/acc", "max"))
    for number, score in enumerate(scores):
        job = Job(number, overrides[number] if overrides else [], folder / str(number))
        job.folder.mkdir()
        journal.start(job)
        for epoch in range(1, 7):
            report(journal, number, {epoch: score})
        (job.folder / "result.json").write_text(json.dumps(completed(score)))
        journal.finish(job.refresh())
    return journal


def report(journal: Journal, job: int, scores: dict[int, float]) -> None:
    """Report scores of a running job by epoch."""
    pruner = JobPruner.find(journal.folder / str(job), "median", 6)
    assert pruner is not None
    for epoch, score in scores.items():
        pruner.report(epoch, score, {})


def run(folder: Path, *words: str) -> dict[str, Any]:
    train(compose([*RUN, f"hydra.run.dir={folder}", *words]))
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.mark.parametrize(("others", "epochs"), [(1.0, 1), (0.0, 6)])
def test_a_job_below_the_median_is_pruned(tmp_path: Path, others: float, epochs: int) -> None:
    journal = finished(tmp_path, [others] * 5)
    job = Job(5, [], tmp_path / "5")
    journal.start(job)
    result = run(job.folder, "sweep.pruner=median", "optimizer.lr=1e-6")
    assert result["status"] == ("pruned" if epochs < 6 else "completed")
    assert result["epochs"] == epochs
    assert ("test/acc" in result["metrics"]) is (epochs == 6), "pruned runs are not tested"
    assert (job.folder / "checkpoints" / "last.ckpt").is_file()
    trial = journal.trials()[-1]
    assert list(trial.intermediate_values) == list(range(1, epochs + 1))
    journal.finish(job.refresh())
    trial = journal.trials()[-1]
    assert trial.state is (TrialState.PRUNED if epochs < 6 else TrialState.COMPLETE)
    reported = trial.intermediate_values[epochs]  # the last score of a pruned trial is its value, as in Optuna
    assert trial.values == [reported if epochs < 6 else result["objective"]["value"]]
    assert journal.failures() == {}


@pytest.mark.parametrize(("fold", "pruned"), [("0", True), ("1", False)])
def test_a_job_is_compared_with_jobs_of_its_fold(tmp_path: Path, fold: str, pruned: bool) -> None:
    """Other jobs reached 0.9 on fold 0, and 0.2 on fold 1."""
    scores = [0.9, 0.2] * 5
    journal = finished(tmp_path, scores, [[f"data.fold={number % 2}"] for number in range(10)])
    job = Job(10, [f"data.fold={fold}", "seed=3"], tmp_path / "10")
    job.folder.mkdir()
    journal.start(job)
    pruner = JobPruner.find(job.folder, "median", 6)
    assert pruner is not None
    assert pruner.report(2, 0.5, {}) == (pruned, {})


def test_without_a_sweep_nothing_is_pruned(tmp_path: Path) -> None:
    assert run(tmp_path / "alone", "sweep.pruner=median")["status"] == "completed"
    Journal(tmp_path, Objective("val/acc", "max"))
    assert JobPruner.find(tmp_path / "alone", "median", 6) is None
    assert JobPruner.find(tmp_path / "0", "median", 6) is None


def test_a_resumed_job_repeats_its_decisions(tmp_path: Path) -> None:
    """It was killed after epoch 3 with a checkpoint of epoch 2; its reports stay in the journal."""
    journal = finished(tmp_path, [1.0] * 5)
    job = Job(5, [], tmp_path / "5")
    job.folder.mkdir()
    journal.start(job)
    first = JobPruner.find(job.folder, "hyperband", 6)
    assert first is not None
    rungs: dict[str, float] = {}
    decisions, states = {}, {0: rungs}
    for epoch, score in {1: 0.75, 2: 0.8, 3: 0.85}.items():
        decisions[epoch], rungs = first.report(epoch, score, rungs)
        states[epoch] = rungs
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    journal.start(job)
    assert [trial.user_attrs["job"] for trial in journal.trials()] == [0, 1, 2, 3, 4, 5]
    again = JobPruner.find(job.folder, "hyperband", 6)
    assert again is not None
    assert again.report(3, 0.85, states[2]) == (decisions[3], states[3])
    own = journal.trials()[5]
    assert own.state is TrialState.RUNNING
    assert own.intermediate_values == {1: 0.75, 2: 0.8, 3: 0.85}
    assert own.system_attrs.items() >= states[3].items()


def test_repeated_epochs_prune_only_at_the_last_one(tmp_path: Path) -> None:
    """Results of other jobs since then do not prune a run in an epoch that it repeats."""
    journal = finished(tmp_path, [0.5] * 5)
    job = Job(5, [], tmp_path / "5")
    job.folder.mkdir()
    journal.start(job)
    report(journal, 5, {1: 0.6, 2: 0.6, 3: 0.6})
    for number in range(6, 16):
        other = Job(number, [], tmp_path / str(number))
        other.folder.mkdir()
        journal.start(other)
        report(journal, number, {1: 0.9, 2: 0.9, 3: 0.9})
        (other.folder / "result.json").write_text(json.dumps(completed(0.9)))
        journal.finish(other.refresh())
    pruner = JobPruner.find(job.folder, "median", 6)
    assert pruner is not None
    assert [pruner.report(epoch, 0.6, {})[0] for epoch in (1, 2, 3)] == [False, False, True]


def test_a_job_reports_to_its_trial_after_the_sweep_restarts(tmp_path: Path) -> None:
    """On a cluster, a job trains while the sweep is started again."""
    journal = finished(tmp_path, [1.0] * 5)
    job = Job(5, [], tmp_path / "5")
    job.folder.mkdir()
    journal.start(job)
    pruner = JobPruner.find(job.folder, "median", 6)
    assert pruner is not None
    assert [pruner.report(epoch, 1.0, {}) for epoch in (1, 2)] == [(False, {})] * 2
    later = Journal(tmp_path, Objective("val/acc", "max"))
    later.finish_all([job.refresh()])
    assert pruner.report(3, 1.0, {}) == (False, {})
    later.start(job)
    assert pruner.report(4, 0.1, {}) == (False, {}), "its best score equals that of the others"
    assert later.trials()[5].intermediate_values == {**{1: 1.0, 2: 1.0, 3: 1.0}, 4: 0.1}
    assert len(later.trials()) == 6


def test_a_pruned_sweep(place: Place) -> None:
    words = ("optimizer.lr=0.0001,0.001,0.01,0.1", "seed=range(3)", "trainer.max_epochs=9", "sweep.name=mine")
    output, _ = place.sweep(*words, "sweep.pruner=hyperband", slots=1)  # two at a time, their order would be random
    statuses = place.statuses("mine", 12)
    assert set(statuses) == {"completed", "pruned"}
    assert statuses.count("pruned") >= 3
    for number in range(12):
        result = place.result("mine", number)
        assert (result["epochs"] < 9) is (result["status"] == "pruned")
    assert "pruned: val/acc" in output
    assert "failed" not in output
    assert {status for _, status in place.attempts("mine")} == {"completed", "pruned"}
    output, _ = place.sweep(*words, "sweep.pruner=hyperband")
    assert "12 jobs, 0 to do" in output
