"""Trials that end early since others did better at the same epoch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.sweeps.sweeping import Place
from tests.sweeps.synthetic import completed
from trainyard.callbacks.pruning import Pruning
from trainyard.config import compose
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.search.pruners import running_trial
from trainyard.training import train

RUN = ("data=penguins", "model=mlp", "model.hidden_dims=[4]", "trainer.max_epochs=6", "logger=csv", "callbacks=none")


def finished(folder: Path, scores: list[float], overrides: Sequence[Sequence[str]] = ()) -> Journal:
    """A sweep of whose jobs each had one score in all of its epochs."""
    journal = Journal(folder, ["val/acc"])
    for number, score in enumerate(scores):
        job = Job(number, overrides[number] if overrides else [], folder / str(number))
        job.folder.mkdir()
        journal.begin(job)
        for epoch in range(1, 7):
            journal.storage.set_trial_intermediate_value(journal.running[number], epoch, score)
        (job.folder / "result.json").write_text(json.dumps(completed(score)))
        journal.finish(job.look())
    return journal


def run(folder: Path, *words: str) -> dict[str, Any]:
    train(compose([*RUN, f"hydra.run.dir={folder}", *words]))
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@pytest.mark.parametrize(("others", "epochs"), [(1.0, 1), (0.0, 6)])
def test_a_trial_below_the_median_ends_at_that_epoch(tmp_path: Path, others: float, epochs: int) -> None:
    journal = finished(tmp_path, [others] * 5)
    job = Job(5, [], tmp_path / "5")
    journal.begin(job)
    result = run(job.folder, "sweep.pruner=median", "optimizer.lr=1e-6")
    assert result["status"] == ("pruned" if epochs < 6 else "completed")
    assert result["epochs"] == epochs
    assert ("test/acc" in result["metrics"]) is (epochs == 6), "what is pruned is not tested"
    assert (job.folder / "checkpoints" / "last.ckpt").is_file()
    trial = journal.last_attempt(job)
    assert trial is not None
    assert list(trial.intermediate_values) == list(range(1, epochs + 1))
    journal.finish(job.look())
    trial = journal.last_attempt(job)
    assert trial is not None
    assert trial.state is (TrialState.PRUNED if epochs < 6 else TrialState.COMPLETE)
    assert trial.values == [result["objective"]["value"]]
    assert journal.failures() == {}


@pytest.mark.parametrize(("fold", "pruned"), [("0", True), ("1", False)])
def test_a_job_is_compared_with_those_of_its_own_fold(tmp_path: Path, fold: str, pruned: bool) -> None:
    """Fold 0 is easy: the others reached 0.9 there, and 0.2 on fold 1."""
    scores = [0.9, 0.2] * 5
    journal = finished(tmp_path, scores, [[f"data.fold={number % 2}"] for number in range(10)])
    job = Job(10, [f"data.fold={fold}", "seed=3"], tmp_path / "10")
    job.folder.mkdir()
    journal.begin(job)
    trial = running_trial(job.folder, "median", 6, {}, {})
    assert trial is not None
    trial.report(0.5, 2)
    assert bool(trial.should_prune()) is pruned


def test_without_a_sweep_nothing_is_pruned(tmp_path: Path) -> None:
    assert run(tmp_path / "alone", "sweep.pruner=median")["status"] == "completed"
    Journal(tmp_path, ["val/acc"])
    assert running_trial(tmp_path / "alone", "median", 6, {}, {}) is None


def test_a_job_that_resumes_sees_what_it_reported_before_its_checkpoint(tmp_path: Path) -> None:
    """It was killed after epoch 3, and its checkpoint is of epoch 2; other jobs still see all that it reported."""
    journal = finished(tmp_path, [1.0] * 5)
    job = Job(5, [], tmp_path / "5")
    job.folder.mkdir()
    journal.begin(job)
    for epoch, score in {1: 0.75, 2: 0.8, 3: 0.85}.items():
        journal.storage.set_trial_intermediate_value(journal.running[5], epoch, score)
    for rung in (0, 1):
        journal.storage.set_trial_system_attr(journal.running[5], f"completed_rung_{rung}", 0.75)
    journal.settle({5: job})
    journal.begin(job)
    trial = running_trial(job.folder, "hyperband", 6, {1: 0.75, 2: 0.8}, {"completed_rung_0": 0.75})
    assert trial is not None
    own = trial.storage.get_all_trials(journal.study)[5]
    assert (trial.number, own.number, own.state) == (5, 5, TrialState.RUNNING)
    assert own.intermediate_values == {1: 0.75, 2: 0.8}
    assert own.system_attrs == {"completed_rung_0": 0.75}
    assert len(journal.storage.get_all_trials(journal.study)) == 7
    others = journal.by_job().get_all_trials(journal.study)
    assert [other.number for other in others] == [0, 1, 2, 3, 4, 5]
    assert others[5].intermediate_values == {1: 0.75, 2: 0.8, 3: 0.85}
    assert others[5].system_attrs == {"completed_rung_0": 0.75, "completed_rung_1": 0.75}


def test_a_job_that_outlives_its_sweep_reports_to_its_new_trial(tmp_path: Path) -> None:
    """As on a cluster: the sweep is started again while the job trains."""
    journal = finished(tmp_path, [1.0] * 5)
    job = Job(5, [], tmp_path / "5")
    job.folder.mkdir()
    journal.begin(job)
    pruning = Pruning(job.folder, "val/acc", "median")
    pruning.find_trial(6)
    assert [pruning.ask(1.0, epoch, 6) for epoch in (1, 2)] == [False, False]
    journal.settle({5: job})
    assert pruning.ask(1.0, 3, 6) is False, "it has no trial at the moment"
    journal.begin(job)
    assert pruning.ask(0.1, 4, 6) is False, "its best score is that of the others"
    journal.settle({5: job})
    journal.begin(job)
    assert pruning.ask(0.1, 5, 6) is False
    assert journal.by_job().get_all_trials(journal.study)[5].intermediate_values == {
        **{1: 1.0, 2: 1.0, 3: 1.0},
        **{4: 0.1, 5: 0.1},
    }


def test_a_pruned_sweep(place: Place) -> None:
    words = ("optimizer.lr=0.0001,0.001,0.01,0.1", "seed=range(3)", "trainer.max_epochs=9", "sweep.name=mine")
    said, _ = place.sweep(*words, "sweep.pruner=hyperband", slots=1)  # side by side, the order would be by chance
    statuses = place.statuses("mine", 12)
    assert set(statuses) == {"completed", "pruned"}
    assert statuses.count("pruned") >= 3
    for number in range(12):
        result = place.result("mine", number)
        assert (result["epochs"] < 9) is (result["status"] == "pruned")
    assert "pruned: val/acc" in said
    assert "failed" not in said
    assert {status for _, status in place.attempts("mine")} == {"completed", "pruned"}
    said, _ = place.sweep(*words, "sweep.pruner=hyperband")
    assert "12 jobs, 0 to do" in said


def test_no_order_to_prune_by(place: Place) -> None:
    _, errors = place.sweep("seed=1,2", "sweep.pruner=median", "sweep.objectives=[val/acc,seconds]", code=1)
    assert errors.splitlines() == [
        "sweep.pruner=median: several objectives give no order to prune by",
        "  accepted: sweep.pruner=none",
    ]
