"""The differences of two runs, and their order."""

from pathlib import Path

import pytest

from tests.history.checkout import Checkout
from tests.history.recorded import GIT, SPLIT, record
from trainyard.history.diff import (
    CodeVersion,
    compare_code,
    compare_configs,
    compare_curves,
    compare_data,
    compare_hardware,
    compare_packages,
    compare_user_code,
    diff,
    list_files,
)
from trainyard.history.stored_run import StoredRun
from trainyard.run.provenance import read_git_state


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


def test_different_results_of_the_same_config_are_reported(tmp_path: Path) -> None:
    one = record(tmp_path / "runs" / "one", 0.95)
    other = record(tmp_path / "runs" / "two", 0.93)
    packed = record(tmp_path / "runs" / "three", 0.93, provenance={"packages": {"torch": "2.12.0"}})
    assert "the same config and seed, but other results: not deterministic" in diff(one, other)
    assert "other results: other packages, or not deterministic" in diff(one, packed)
    seeded = record(tmp_path / "runs" / "four", 0.93, config={"seed": 1})
    assert "deterministic" not in diff(one, seeded)


def test_unknown_runs_are_not_equal(tmp_path: Path) -> None:
    one, other = (StoredRun(tmp_path / name) for name in ("one", "two"))
    assert "no scores to compare: A is broken, B is broken" in diff(one, other)


@pytest.mark.parametrize("missing", ["config.yaml", "provenance.json", "result.json", "metrics.csv"])
def test_incomplete_run_can_be_compared(tmp_path: Path, missing: str) -> None:
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


def test_keys_of_a_different_option_are_left_out_unless_overridden(tmp_path: Path) -> None:
    one = record(tmp_path / "one", overrides=["model.dropout=0.1"], config={"seed": 0})
    cnn = {"_target_": "trainyard.models.cnn.CNN", "channels": [8], "dropout": 0.5}
    other = record(
        *(tmp_path / "two", 0.9, {"model": "cnn", "sweep": "tpe"}),
        config={"model": cnn, "seed": 3, "optimizer": {"lr": 0.01, "fused": True, "betas": None}},
    )
    lines = ["model=mlp -> cnn", "seed=0 -> 3", "model.dropout=0.0 -> 0.5", "optimizer.lr=0.001 -> 0.01"]
    assert compare_configs(one, other) == lines


def test_keys_of_one_run_only_are_listed(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", config={"optimizer": {"lr": 0.001, "fused": True}})
    assert compare_configs(one, other) == ["optimizer.betas=null -> none"]


def test_data_are_compared_by_split(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", val={**SPLIT, "examples": 99, "labels": "x", "inputs": "y"})
    assert compare_data(one, one) == []
    assert compare_data(one, other) == ["val: examples 100 -> 99, other labels, other inputs"]
    assert compare_data(one, record(tmp_path / "old", result={"data": {}})) is None


def test_the_packages_that_results_depend_on_come_first() -> None:
    before = {"python": "3.11.7", "packages": {"torch": "2.12", "absl": "1", "rich": "1", "numpy": "1", "same": "1"}}
    after = {"python": "3.12.0", "packages": {"torch": "2.13", "absl": "2", "rich": "2", "numpy": "2", "same": "1"}}
    lines = ["python 3.11.7 -> 3.12.0", "torch 2.12 -> 2.13", "numpy 1 -> 2", "2 others: absl, rich"]
    assert compare_packages(before, after) == lines
    assert compare_packages({"packages": {"a": "1"}}, {"packages": {"a": "1", "torch": "2"}}) == ["torch none -> 2"]
    assert compare_packages({"packages": {}}, after) is None
    assert compare_packages(before, before) == []


def test_hardware_is_compared_if_both_runs_have_it() -> None:
    before = {"hardware": {"gpus": [], "threads": 1, "cores": 2, "machine": "x86_64"}}
    after = {"hardware": {"gpus": ["H100"], "threads": 2, "cores": 2, "machine": "x86_64", "instructions": "AVX2"}}
    assert compare_hardware(before, after) == ["gpus [] -> [H100]", "threads 1 -> 2"]


def test_curves_differ_from_the_first_epoch_whose_gap_exceeds_rounding(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6, 0.7, 0.9))
    other = record(tmp_path / "two", curve=(0.5, 0.6 + 1e-7, 0.75, 0.92), result={"epochs": 4})
    best, line = compare_curves(one, other) or []
    assert best == "best epoch 2 of 2 -> 2 of 4"
    ends = "val/acc 0.9000 -> 0.9200 at the end"
    assert line == f"{ends}, first differs at epoch 3 (by 0.05), most at epoch 3 (by 0.0500)"
    assert compare_curves(one, one) == []
    short = record(tmp_path / "short", curve=(0.5, 0.6))
    assert compare_curves(one, short) == ["val/acc 0.9000 -> 0.6000 at the end, the same until epoch 2"]
    (short.folder / "metrics.csv").unlink()
    assert compare_curves(one, short) is None


def test_a_curve_that_becomes_nan_differs_there(tmp_path: Path) -> None:
    one = record(tmp_path / "one", curve=(0.5, 0.6))
    other = record(tmp_path / "two", curve=(0.5, float("nan")))
    [line] = compare_curves(one, other) or []
    assert "first differs at epoch 2 (by nan)" in line


def test_commits_are_counted_and_package_files_come_first(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    first = record(tmp_path / "first", provenance={"git": read_git_state(checkout.folder)})
    for name in ("docs/a.md", "conf/model/b.yaml"):
        (checkout.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.folder / name).touch()
        checkout.commit(name)
    checkout.edit("src/trainyard/one.py", "1", "2")
    commit = checkout.commit("three")
    second = record(tmp_path / "second", provenance={"git": read_git_state(checkout.folder)})
    start = first.provenance["git"]["commit"]
    lines = [
        f"commit {start[:10]} -> {commit[:10]} (3 commits more, 0 less)",
        "changed files: conf/model/b.yaml, src/trainyard/one.py, docs/a.md",
    ]
    assert compare_code(first, second, checkout.folder) == lines
    assert (compare_code(second, first, checkout.folder) or [""])[0].endswith("(0 commits more, 3 less)")
    checkout.git("checkout", "-q", start)
    (checkout.folder / "c").touch()
    checkout.commit("beside")
    beside = record(tmp_path / "beside", provenance={"git": read_git_state(checkout.folder)})
    assert (compare_code(beside, second, checkout.folder) or [""])[0].endswith("(3 commits more, 1 less)")
    assert compare_code(first, first, checkout.folder) == []
    [line] = compare_code(first, second, tmp_path) or []
    assert line.endswith("not both of which are in this repository")


def test_patches_and_untracked_files(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project")
    clean = record(tmp_path / "clean", provenance={"git": read_git_state(checkout.folder)})
    checkout.edit("src/trainyard/one.py", "one = 1", "one = 1\n--two = 2\n++three = 3")
    (checkout.folder / "mine.py").touch()
    dirty = record(tmp_path / "dirty", provenance={"git": read_git_state(checkout.folder)})
    assert compare_code(clean, dirty, checkout.folder) == [
        "no patch -> a patch of 2 lines in src/trainyard/one.py",
        "untracked files of one run: mine.py",
    ]
    assert compare_code(dirty, dirty, checkout.folder) == []


def test_installed_packages_have_no_commit(tmp_path: Path) -> None:
    checked, installed = record(tmp_path / "a"), record(tmp_path / "b", provenance={"git": None})
    assert compare_code(checked, installed) == [f"commit {'a' * 10} -> an installed package"]
    assert compare_code(installed, installed) is None


@pytest.mark.parametrize("commit", ["--output=/tmp/x", "", None, "HEAD", "g" * 40])
def test_invalid_commits_are_not_passed_to_git(tmp_path: Path, commit: object) -> None:
    assert CodeVersion.of(record(tmp_path / "run", provenance={"git": {"commit": commit}})) is None


def test_invalid_patch_is_described() -> None:
    patch = "+not a patch\n"
    assert CodeVersion("a" * 40, patch).patch_summary == "a patch of 1 lines, which git cannot read"


def test_files_of_the_package_and_its_configs_come_first() -> None:
    assert list_files(["README.md", "src/b", "conf/a", "docs/c"]) == "conf/a, src/b, README.md and 1 more"


def test_code_of_own_packages_is_compared(tmp_path: Path) -> None:
    def run(name: str, digest: str, **state: object) -> StoredRun:
        code = {"mine": {"path": "/x/mine", "digest": digest, **state}}
        return record(tmp_path / name, provenance={"user_code": code}, curve=[0.5])

    one, same = run("one", "a", commit="1" * 40), run("same", "a", commit="2" * 40)
    other = run("other", "b", commit="2" * 40, uncommitted=True)
    assert compare_user_code(one, same) == []
    text = "mine: other files (commit 1111111111 -> commit 2222222222, with uncommitted changes)"
    assert compare_user_code(one, other) == [text]
    assert f"own code   {text}" in diff(one, other)
    assert "own code" in diff(one, same)
    assert "own code" not in diff(record(tmp_path / "two"), record(tmp_path / "three"))
