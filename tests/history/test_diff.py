"""The differences of two runs, and their order."""

from pathlib import Path

import pytest

from tests.history.recorded import GIT, SPLIT, record
from trainyard.history.diff import (
    config_changes,
    curve_changes,
    data_changes,
    diff,
    hardware_changes,
    package_changes,
)
from trainyard.history.stored_run import StoredRun


def test_equal_runs_are_one_line(tmp_path: Path) -> None:
    one, other = (record(tmp_path / "runs" / name) for name in ("one", "two"))
    same = "one and two are the same: config, data, code, packages, hardware, curves, scores"
    assert diff(one, other) == same


def test_the_verdict_comes_first_then_causes_then_effects(tmp_path: Path) -> None:
    one = record(tmp_path / "runs" / "one", 0.95)
    other = record(
        *(tmp_path / "runs" / "two", 0.7, {"model": "cnn"}, ["model=cnn"]),
        val={**SPLIT, "inputs": "cc"},
        provenance={"git": None, "packages": {"torch": "2.12.0"}, "hardware": {"cores": 4, "threads": 2}},
    )
    heads = [line[:10].strip() for line in diff(one, other).splitlines()]
    order = ["A", "B", "val/acc 0.", "config", "data", "code", "packages", "hardware", "curves"]
    assert [head for head in heads if head] == order


def test_other_results_of_one_config_are_pointed_at(tmp_path: Path) -> None:
    one = record(tmp_path / "runs" / "one", 0.95)
    other = record(tmp_path / "runs" / "two", 0.93)
    packed = record(tmp_path / "runs" / "three", 0.93, provenance={"packages": {"torch": "2.12.0"}})
    assert "the same config and seed, but other results: not deterministic" in diff(one, other)
    assert "other results: other packages, or not deterministic" in diff(one, packed)
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
        "config.yaml": "config: a run's config.yaml is missing or invalid",
        "provenance.json": f"commit {GIT['commit'][:10]} -> an installed package",
        "result.json": "no scores to compare: B is running",
        "metrics.csv": "a run has no metrics.csv",
    }[missing] in said
    if missing == "provenance.json":
        assert "packages: a run's provenance.json is missing" in said
        assert "hardware: a run's provenance.json is missing" in said
        assert "the same   config, data, curves" in said


def test_keys_of_an_option_that_differs_are_left_out_unless_typed(tmp_path: Path) -> None:
    one = record(tmp_path / "one", overrides=["model.dropout=0.1"], config={"seed": 0})
    cnn = {"_target_": "trainyard.models.cnn.CNN", "channels": [8], "dropout": 0.5}
    other = record(
        *(tmp_path / "two", 0.9, {"model": "cnn", "sweep": "tpe"}),
        config={"model": cnn, "seed": 3, "optimizer": {"lr": 0.01, "fused": True, "betas": None}},
    )
    lines = ["model=mlp -> cnn", "seed=0 -> 3", "model.dropout=0.0 -> 0.5", "optimizer.lr=0.001 -> 0.01"]
    assert config_changes(one, other) == lines


def test_keys_of_one_run_only_are_listed(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", config={"optimizer": {"lr": 0.001, "fused": True}})
    assert config_changes(one, other) == ["optimizer.betas=null -> none"]


def test_data_are_compared_by_split(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", val={**SPLIT, "examples": 99, "labels": "x", "inputs": "y"})
    assert data_changes(one, one) == []
    assert data_changes(one, other) == ["val: examples 100 -> 99, other labels, other inputs"]
    assert data_changes(one, record(tmp_path / "old", result={"data": {}})) is None


def test_the_packages_that_results_depend_on_come_first() -> None:
    before = {"python": "3.11.7", "packages": {"torch": "2.12", "absl": "1", "rich": "1", "numpy": "1", "same": "1"}}
    after = {"python": "3.12.0", "packages": {"torch": "2.13", "absl": "2", "rich": "2", "numpy": "2", "same": "1"}}
    lines = ["python 3.11.7 -> 3.12.0", "torch 2.12 -> 2.13", "numpy 1 -> 2", "2 others: absl, rich"]
    assert package_changes(before, after) == lines
    assert package_changes({"packages": {"a": "1"}}, {"packages": {"a": "1", "torch": "2"}}) == ["torch none -> 2"]
    assert package_changes({"packages": {}}, after) is None
    assert package_changes(before, before) == []


def test_hardware_is_compared_if_both_runs_have_it() -> None:
    before = {"hardware": {"gpus": [], "threads": 1, "cores": 2, "machine": "x86_64"}}
    after = {"hardware": {"gpus": ["H100"], "threads": 2, "cores": 2, "machine": "x86_64", "instructions": "AVX2"}}
    assert hardware_changes(before, after) == ["gpus [] -> [H100]", "threads 1 -> 2"]


def test_curves_differ_from_the_first_epoch_whose_gap_exceeds_rounding(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6, 0.7, 0.9))
    other = record(tmp_path / "two", curve=(0.5, 0.6 + 1e-7, 0.75, 0.92), result={"epochs": 4})
    best, line = curve_changes(one, other) or []
    assert best == "best epoch 2 of 2 -> 2 of 4"
    ends = "val/acc 0.9000 -> 0.9200 at the end"
    assert line == f"{ends}, first differs at epoch 3 (by 0.05), most at epoch 3 (by 0.0500)"
    assert curve_changes(one, one) == []
    short = record(tmp_path / "short", curve=(0.5, 0.6))
    assert curve_changes(one, short) == ["val/acc 0.9000 -> 0.6000 at the end, the same until epoch 2"]
    (short.folder / "metrics.csv").unlink()
    assert curve_changes(one, short) is None


def test_a_curve_that_becomes_nan_differs_there(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6))
    other = record(tmp_path / "two", curve=(0.5, float("nan")))
    [line] = curve_changes(one, other) or []
    assert "first differs at epoch 2 (by nan)" in line
