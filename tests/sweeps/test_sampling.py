"""The configurations that a search draws."""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import RandomSampler, TPESampler

from tests.sweeps.synthetic import completed, space
from trainyard.config.objective import Objective
from trainyard.io.errors import ConfigError
from trainyard.sweeps.stored import StoredSweep
from trainyard.sweeps.sweep import Sweep

TPE = partial(TPESampler, n_startup_trials=5)
LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def search(folder: Path, words: list[str], trials: int, sampler: Any = RandomSampler, **options: Any) -> Sweep:
    """Return a new or a resumed search."""
    folder.mkdir(exist_ok=True)
    seed = options.pop("seed", 0)
    stored = StoredSweep.create(folder, space(words, sampler="x", **options), Objective("val/acc", "max"))
    return Sweep(stored, 1, None, sampler, seed, trials)


def run(sweep: Sweep, most: int = 1000) -> list[list[str]]:
    """Run jobs whose score is best at a rate of 0.01; return their overrides."""
    found = []
    for job in sweep.jobs_to_run():
        sweep.start(job)
        job.folder.mkdir(exist_ok=True)
        values = dict(word.split("=") for word in job.overrides)
        score = 1 - abs(math.log10(float(values.get("optimizer.lr", 0.01))) + 2) / 3
        (job.folder / "result.json").write_text(json.dumps(completed(score)))
        sweep.finish(job, "")
        found.append(list(job.overrides))
        if len(found) == most:
            break
    return found


@pytest.mark.parametrize("sampler", [RandomSampler, TPE])
def test_a_resumed_search_draws_the_same_configurations(tmp_path: Path, sampler: Any) -> None:
    words = [LR, "model.dropout=0,0.1,0.2"]
    whole = run(search(tmp_path / "whole", words, 20, sampler))
    assert len(whole) == 20
    parts = run(search(tmp_path / "other", words, 20, sampler), most=7)
    parts += run(search(tmp_path / "other", words, 20, sampler))
    assert parts == whole
    assert run(search(tmp_path / "other", words, 20, sampler)) == []
    assert len(run(search(tmp_path / "other", words, 23, sampler))) == 3, "20 of 23 were finished"
    assert run(search(tmp_path / "third", words, 20, sampler, seed=1)) != whole


@pytest.mark.parametrize("sampler", [RandomSampler, TPE])
def test_each_configuration_has_a_job_for_every_replicate(tmp_path: Path, sampler: Any) -> None:
    words = [LR, "data.fold=range(3)", "seed=0,1"]
    whole = run(search(tmp_path / "whole", words, 8, sampler))
    assert len(whole) == 8 * 6
    for start in range(0, len(whole), 6):
        [rate], folds, seeds = (dict.fromkeys(column) for column in zip(*whole[start : start + 6], strict=True))
        assert rate.startswith("optimizer.lr=")
        assert (len(folds), len(seeds)) == (3, 2)
    parts = run(search(tmp_path / "parts", words, 8, sampler), most=20)  # in the middle of a configuration
    again = search(tmp_path / "parts", words, 8, sampler)
    assert (again.total, again.remaining) == (48, 28)
    assert parts + run(again) == whole
    later = search(tmp_path / "parts", words, 10, sampler)
    assert (later.total, later.remaining, len(run(later))) == (60, 12, 12)
    assert len({row.values["optimizer.lr"] for row in later.stored.rows if len(row.scores) == 6}) == 10


def test_a_search_obeys_a_condition_on_replicates(tmp_path: Path) -> None:
    words = ["model=mlp,cnn", "seed=range(3)"]
    found = run(search(tmp_path / "mine", words, 2, where='not (model == "cnn" and seed > 0)'))
    assert sorted(found) == [["model=cnn", "seed=0"], *(["model=mlp", f"seed={seed}"] for seed in range(3))]


def test_the_sampler_gets_the_mean_over_folds(tmp_path: Path) -> None:
    sweep = search(tmp_path / "mine", ["lr=1,2,3,4", "data.fold=range(2)"], 4)
    means: dict[str, float] = {}
    for job in sweep.jobs_to_run():
        sweep.start(job)
        job.folder.mkdir()
        rate, fold = (float(word.partition("=")[2]) for word in job.overrides)
        result = completed(rate / 10 + fold / 2) if rate < 4 or not fold else {"status": "failed", "error": "E"}
        (job.folder / "result.json").write_text(json.dumps(result))
        sweep.finish(job, "")
        assert sweep.sampler is not None
        trials = sweep.sampler.create_study(sweep.jobs).get_trials()
        means = {str(trial.params["lr"]): trial.values[0] for trial in trials if trial.values}
    assert means == {rate: pytest.approx(int(rate) / 10 + 0.25 * (rate != "4")) for rate in "1234"}


def test_tpe_draws_where_scores_are_high(tmp_path: Path) -> None:
    def near(words: list[list[str]]) -> int:
        rates = [float(job[0].partition("=")[2]) for job in words]
        return sum(0.005 < rate < 0.02 for rate in rates)

    guided = run(search(tmp_path / "tpe", [LR], 40, TPE))
    blind = run(search(tmp_path / "random", [LR], 40))
    assert near(guided) > 2 * near(blind)


@pytest.mark.parametrize("sampler", [RandomSampler, TPE])
def test_every_combination_is_drawn_once(tmp_path: Path, sampler: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model=mlp,cnn", "optimizer=sgd,adam,adamw", "seed=range(4)"]
    found = run(search(tmp_path / "mine", words, 50, sampler))
    assert len(found) == len({tuple(job) for job in found}) == 24
    assert "all 24 combinations have been drawn" in capsys.readouterr().out


def test_zip_and_where_restrict_a_search(tmp_path: Path) -> None:
    words = ["model=mlp,cnn", "data=digits,shapes", LR]
    found = run(search(tmp_path / "mine", words, 20, zipped=("model", "data"), where="optimizer.lr > 0.01"))
    assert len(found) == 20
    assert {tuple(job[:2]) for job in found} == {("model=mlp", "data=digits"), ("model=cnn", "data=shapes")}
    assert all(float(job[2].partition("=")[2]) > 0.01 for job in found)
    with pytest.raises(ConfigError, match="no combination meets it"):
        run(search(tmp_path / "none", words, 20, where="optimizer.lr > 1"))


def test_a_job_without_its_directory_runs_again(tmp_path: Path) -> None:
    found = run(search(tmp_path / "mine", [LR], 3))
    (tmp_path / "mine" / "1").rename(tmp_path / "gone")
    again = search(tmp_path / "mine", [LR], 4)
    assert [list(job.overrides) for job in again.jobs] == found
    assert [job.number for job in again.queue] == [1]
    assert run(again)[0] == found[1]


def test_a_search_is_checked_with_representative_jobs(tmp_path: Path) -> None:
    sweep = search(tmp_path / "mine", ["model=mlp,cnn", LR, "seed=1"], 5)
    assert [job.overrides for job in sweep.examples] == [
        ["model=mlp", "optimizer.lr=0.0001", "seed=1"],
        ["model=cnn", "optimizer.lr=0.0001", "seed=1"],
        ["model=mlp", "optimizer.lr=0.1", "seed=1"],
    ]
