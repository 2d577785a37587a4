"""What is said of two runs, and in which order."""

from pathlib import Path

import pytest

from tests.history.recorded import GIT, SPLIT, predict, record
from trainyard.history.diff import diff
from trainyard.stored.run import StoredRun


def test_equal_runs_are_one_line(tmp_path: Path) -> None:
    one, other = (record(tmp_path / "runs" / name) for name in ("one", "two"))
    same = "one and two are the same: config, data, code, packages, hardware, curves, scores"
    assert diff(one, other) == f"{same}; classes: predictions/val.npz is not saved by both"
    for run in (one, other):
        predict(run, [0, 1], [0, 1], ["a", "b"])
    assert diff(one, other) == same.replace("curves", "curves, classes")


def test_the_verdict_comes_first_then_causes_then_effects(tmp_path: Path) -> None:
    one = record(tmp_path / "runs" / "one", 0.95)
    other = record(
        *(tmp_path / "runs" / "two", 0.7, {"model": "cnn"}, ["model=cnn"]),
        val={**SPLIT, "inputs": "cc"},
        provenance={"git": None, "packages": {"torch": "2.12.0"}, "hardware": {"cores": 4, "threads": 2}},
    )
    heads = [line[:10].strip() for line in diff(one, other).splitlines()]
    order = ["A", "B", "val/acc 0.", "config", "data", "code", "packages", "hardware", "curves", "not known"]
    assert [head for head in heads if head] == order


def test_other_results_of_one_config_are_pointed_at(tmp_path: Path) -> None:
    one = record(tmp_path / "runs" / "one", 0.95)
    other = record(tmp_path / "runs" / "two", 0.93)
    packed = record(tmp_path / "runs" / "three", 0.93, provenance={"packages": {"torch": "2.12.0"}})
    assert "the same config and seed, but other results: not deterministic here" in diff(one, other)
    assert "other results: other packages, or not deterministic here" in diff(one, packed)
    seeded = record(tmp_path / "runs" / "four", 0.93, config={"seed": 1})
    assert "deterministic" not in diff(one, seeded)


def test_two_runs_of_which_nothing_is_known_are_not_the_same(tmp_path: Path) -> None:
    one, other = (StoredRun(tmp_path / name) for name in ("one", "two"))
    assert "no scores to compare: A is broken, B is broken" in diff(one, other)


@pytest.mark.parametrize("missing", ["config.yaml", "provenance.json", "result.json", "metrics.csv"])
def test_half_a_run_can_be_compared(tmp_path: Path, missing: str) -> None:
    one, other = (record(tmp_path / name) for name in ("one", "two"))
    (other.folder / missing).unlink()
    said = diff(one, other)
    assert {
        "config.yaml": "config: a run's config.yaml is missing or no YAML",
        "provenance.json": f"commit {GIT['commit'][:10]} -> an installed package",
        "result.json": "no scores to compare: B is running",
        "metrics.csv": "a run has no metrics.csv",
    }[missing] in said
    if missing == "provenance.json":
        assert "packages: a run's provenance.json is missing" in said
        assert "hardware: a run's provenance.json is missing" in said
        assert "the same   config, data, curves" in said
