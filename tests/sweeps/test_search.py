"""Searches started from the command line."""

import statistics
from collections.abc import Callable

import pytest

from tests.conftest import Compose
from tests.sweeps.sweeping import Place, kill, table, until
from trainyard.config.objective import Objective
from trainyard.history.find_run import find_checkpoint
from trainyard.io.errors import ConfigError
from trainyard.run.training import train
from trainyard.sweeps.journal import Journal

SEARCH = (
    "sweep=tpe",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))",
    "model.hidden_dims=choice([4],[8])",
    "sweep.name=mine",
)


def rates(place: Place) -> dict[str, str]:
    return {
        row["checkpoint"].partition("/")[0]: row["optimizer.lr"] for row in table(place.of("mine") / "leaderboard.csv")
    }


@pytest.mark.slow
def test_a_killed_search_keeps_its_trials_and_counts_them(place: Place) -> None:
    process = place.start(*SEARCH, "sweep.trials=6", "sweep.sampler.n_startup_trials=2")
    until(lambda: (place.of("mine") / "2" / "result.json").is_file())
    kill(process)
    output, _ = place.sweep(*SEARCH, "sweep.trials=6", "sweep.sampler.n_startup_trials=2")
    assert place.statuses("mine", 7) == ["completed"] * 6 + ["waiting"]
    first = rates(place)
    assert len(set(first.values())) == 6
    output, _ = place.sweep(*SEARCH, "sweep.trials=7", "sweep.sampler.n_startup_trials=2")
    assert "7 jobs, 1 to do" in output
    assert rates(place).items() > first.items(), "finished trials are kept"
    output, _ = place.sweep(*SEARCH, "sweep.trials=5", "sweep.sampler.n_startup_trials=2")
    assert "7 jobs, 0 to do" in output


def test_a_new_trial_starts_when_one_ends(place: Place) -> None:
    """In batches of two, no trial would start before both of the previous batch had ended."""
    words = (
        "sweep=random",
        "sweep.trials=6",
        "trainer.max_epochs=1,60",
        "model.dropout=range(0,0.5,0.05)",
        "sweep.name=mine",
    )
    place.sweep(*words)
    trials = Journal(place.of("mine"), Objective("val/acc", "max")).trials()
    began, ended = ([getattr(trial, when) for trial in trials] for when in ("datetime_start", "datetime_complete"))
    assert len(trials) == 6
    assert any(began[after] < max(ended[after - 2 : after]) for after in (2, 4))
    assert all(began[after] > sorted(ended[:after])[after - 2] for after in range(2, 6)), "two at a time"


def test_a_search_ends_when_all_combinations_are_drawn(place: Place) -> None:
    words = ("sweep=random", "sweep.trials=5", "trainer.max_epochs=int(interval(1,3))", "sweep.name=mine")
    output, _ = place.sweep(*words)
    assert place.statuses("mine", 3) == ["completed", "completed", "waiting"]
    assert "all 2 combinations have been drawn" in output


def test_an_invalid_sampler_leaves_no_files(place: Place, rejected: Callable[..., str]) -> None:
    rejected(*SEARCH, "sweep.sampler.n_startup_trials=x")
    assert not place.of("mine").exists()


def test_zip_and_where_restrict_a_grid(place: Place) -> None:
    words = ("data=digits,penguins", "model.hidden_dims=[8],[4]", "seed=range(2)", "sweep.name=mine")
    place.sweep(*words, "sweep.zip=[data,model.hidden_dims]", 'sweep.where=not (data == "penguins" and seed == 1)')
    rows = {(row["data"], row["model.hidden_dims"]) for row in table(place.of("mine") / "leaderboard.csv")}
    assert rows == {("digits", "[8]"), ("penguins", "[4]")}
    assert place.statuses("mine", 4) == ["completed"] * 3 + ["waiting"]
    _, errors = place.sweep(*words, code=1)
    assert "sweep.zip: before data,model.hidden_dims, now nothing" in errors


def test_folds_of_a_configuration_are_averaged(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("data=penguins", "optimizer.lr=0.001,0.01", "data.fold=range(3)", "sweep.name=mine")
    output, _ = place.sweep(*words, "model.hidden_dims=[16]", "trainer.max_epochs=3")
    first, second = table(place.of("mine") / "leaderboard.csv")
    assert [first["optimizer.lr"], second["optimizer.lr"]] == ["0.01", "0.001"]
    assert "data.fold" not in first
    results = [place.result("mine", number) for number in range(6)]
    assert all(result["metrics"].keys() >= {"val/acc", "test/acc"} for result in results)
    assert len({result["data"]["fingerprint"]["val"]["inputs"] for result in results}) == 3, (
        "each fold validates on other examples"
    )
    assert len({result["data"]["fingerprint"]["test"]["inputs"] for result in results}) == 1
    for metric in ("val/acc", "test/acc"):
        values = [result["metrics"][metric] for result in results[3:]]
        assert first[metric] == f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f} (3)"
    monkeypatch.chdir(place.folder)
    assert find_checkpoint("best:mine").samefile(place.of("mine") / first["checkpoint"])
    assert "highest value tried" not in output


@pytest.mark.slow
def test_a_search_with_submitit_is_pruned(place: Place) -> None:
    """Its jobs report to the same journal; a sampler draws them in batches."""
    words = (*SEARCH, "hydra/launcher=submitit_local", "sweep.trials=3", "sweep.batch=2", "trainer.max_epochs=3")
    place.sweep(*words, "sweep.pruner=hyperband", slots=None)
    assert set(place.statuses("mine", 3)) <= {"completed", "pruned"}
    journal = (place.of("mine") / "journal.log").read_text()
    assert journal.count('"intermediate_value":') >= 3
    assert place.statuses("mine", 4)[3] == "waiting"


@pytest.mark.parametrize("word", ["sweep.plan=true", "sweep=mlp_tpe", "sweep=random"])
def test_sweep_options_are_rejected_in_a_single_run(compose_run: Compose, word: str) -> None:
    with pytest.raises(ConfigError, match="only for sweeps"):
        train(compose_run(word))
