"""A run is reproduced, or the reason is printed; the user's repository does not change."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Compose
from tests.history.checkout import Checkout
from tests.history.recorded import record
from trainyard.history import reproduce as module
from trainyard.history.reproduce import choose_directory, reproduce
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError
from trainyard.io.files import write_json
from trainyard.run.provenance import collect_provenance, digest_code, read_git_state
from trainyard.run.training import train

TINY = ("model.hidden_dims=[8]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A repository in the place of the project's."""
    return Checkout.make(tmp_path / "project")


@pytest.fixture
def run(tmp_path: Path, checkout: Checkout) -> StoredRun:
    """A run of its commit, on this machine, with a patch."""
    checkout.edit("src/trainyard/one.py", "1", "2")
    return record(
        tmp_path / "runs" / "one", provenance={**collect_provenance(), "git": read_git_state(checkout.folder)}
    )


Rerun = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, run: StoredRun) -> Rerun:
    """Have what is run again leave a copy of the run, changed by a function; return what was asked for."""

    def fake(change: Callable[[Path], object] = lambda folder: None, code: int = 0) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def rerun(config: dict[str, Any], code_folder: Path | None, directory: Path, threads: int, own: list) -> int:
            calls.append({"config": config, "code": code_folder, "directory": directory, "threads": threads})
            calls[-1]["own"] = own
            if code_folder:
                calls[-1]["text"] = (code_folder / "src" / "trainyard" / "one.py").read_text()
            shutil.copytree(run.folder, config["run"]["dir"])
            change(Path(config["run"]["dir"]))
            return code

        monkeypatch.setattr(module, "train_again", rerun)
        return calls

    return fake


def again(run: StoredRun, checkout: Checkout, **options: Any) -> int:
    """Reproduce a run by a repository."""
    options = {"output": run.folder.parent / "again", "yes": True, **options}
    return reproduce(run, package=checkout.folder / "src" / "trainyard", **options)


def test_code_and_changes_are_printed(
    run: StoredRun, checkout: Checkout, faked: Rerun, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {**(read_git_state(checkout.folder) or {}), "untracked": ["mine.py"]}
    hardware = {**run.provenance["hardware"], "threads": 7, "cores": 99}
    packages = {**run.provenance["packages"], "torch": "1.0"}
    write_json(
        run.folder / "provenance.json",
        {**run.provenance, "git": state, "hardware": hardware, "packages": packages, "directory": "/gone"},
    )
    calls = faked()
    assert again(StoredRun(run.folder), checkout) == 0
    said = capsys.readouterr().out
    assert "a first commit, a patch of 2 lines in src/trainyard/one.py" in said
    assert "untracked files are not restored: mine.py" in said
    assert "torch 1.0 -> " in said
    assert "cores 99 -> " in said
    assert "/gone does not exist" in said
    assert "data       the same" in said
    assert said.endswith("not compared: the run has no checkpoint\nbitwise equal\n")
    [call] = calls
    assert (call["threads"], call["directory"], call["text"]) == (7, Path(), "one = 2\n")


def test_difference_sets_last_line_and_exit_code(
    run: StoredRun, checkout: Checkout, faked: Rerun, capsys: pytest.CaptureFixture[str]
) -> None:
    def worse(folder: Path) -> None:
        result = json.loads((folder / "result.json").read_text())
        result["metrics"]["val/acc"] = 0.5
        result["data"]["fingerprint"]["val"]["labels"] = "other"
        write_json(folder / "result.json", result)

    faked(worse)
    assert again(run, checkout) == 1
    *_, data, _, last = capsys.readouterr().out.splitlines()
    assert (data, last) == (
        "data       val: other labels",
        "differs: 1 of 14 values, the largest by 4.0e-01 in val/acc",
    )


def test_failed_rerun_sets_the_exit_code(
    run: StoredRun, checkout: Checkout, faked: Rerun, capsys: pytest.CaptureFixture[str]
) -> None:
    faked(shutil.rmtree, code=1)
    before = checkout.state()
    assert again(run, checkout) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("differs: the new run ended with exit code 1 before")
    assert checkout.state() == before


def test_ctrl_c_removes_the_worktree(run: StoredRun, checkout: Checkout, faked: Rerun) -> None:
    def stop(folder: Path) -> None:
        raise KeyboardInterrupt

    calls, before = faked(stop), checkout.state()
    with pytest.raises(KeyboardInterrupt):
        again(run, checkout)
    assert not calls[0]["code"].exists()
    assert checkout.state() == before


def test_committed_code_runs_without_confirmation_in_a_new_directory(
    run: StoredRun, checkout: Checkout, faked: Rerun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkout.git("checkout", "-q", ".")
    write_json(run.folder / "provenance.json", {**run.provenance, "git": read_git_state(checkout.folder)})
    sweep, loggers = {"name": "S", "pruner": "hyperband"}, {"csv": {"prefix": "x"}, "wandb": {"project": "y"}}
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    (run.folder / "config.yaml").write_text(
        yaml.safe_dump({**config, "sweep": sweep, "logger": loggers}, sort_keys=False)
    )
    calls, stored = faked(), StoredRun(run.folder)
    for _ in range(2):
        assert again(stored, checkout, output=None, yes=False) == 0
    folders = [Path(call["config"]["run"]["dir"]) for call in calls]
    assert folders == [tmp_path / "outputs" / "reproduced" / name for name in ("one", "one-2")]
    assert calls[0]["config"]["sweep"] == {**sweep, "pruner": "none"}, "which would look for the sweep"
    assert calls[0]["config"]["logger"] == {"csv": {"prefix": "x"}}, "nothing is sent anywhere"


def test_installed_package_is_used_without_a_commit(
    run: StoredRun, checkout: Checkout, faked: Rerun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls = faked()
    write_json(run.folder / "provenance.json", {**run.provenance, "git": None})
    assert again(StoredRun(run.folder), checkout) == 0
    assert "the installed package: the run was made outside of a checkout" in capsys.readouterr().out
    around = Checkout.make(tmp_path / "around")
    around.git("rm", "-rq", "src")
    around.commit("something else")
    write_json(run.folder / "provenance.json", {**run.provenance, "git": read_git_state(around.folder)})
    assert reproduce(StoredRun(run.folder), tmp_path / "there", yes=False, package=around.folder) == 0
    assert "has no src/trainyard" in capsys.readouterr().out
    assert [call["code"] for call in calls] == [None, None]


def test_impossible_reproduction_fails_before_training(
    run: StoredRun, checkout: Checkout, faked: Rerun, tmp_path: Path
) -> None:
    calls = faked()
    failed = record(tmp_path / "failed", result={"status": "failed", "metrics": None})
    with pytest.raises(ConfigError, match="is failed\n  accepted: a completed run"):
        again(failed, checkout)
    half = record(tmp_path / "half")
    (half.folder / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"half: its config\.yaml is missing or invalid"):
        again(half, checkout)
    with pytest.raises(ConfigError, match="is not in"):
        again(record(tmp_path / "other"), checkout)
    with pytest.raises(ConfigError, match="is not in a repository at"):
        reproduce(run, tmp_path / "again", yes=True, package=tmp_path)
    with pytest.raises(ConfigError, match=r"--output=.*already exists"):
        again(run, checkout, output=run.folder)
    assert not calls
    assert not (tmp_path / "again").exists()


def own_run(run: StoredRun, path: Path, **state: Any) -> StoredRun:
    """Return a run whose model is in a user's own package."""
    config = {**run.config, "model": {"_target_": "mine.Model"}}
    (run.folder / "config.yaml").write_text(yaml.safe_dump(config))
    code = {"mine": {"path": str(path), "digest": digest_code(path), **state}, "other": {"path": 1}}
    write_json(run.folder / "provenance.json", {**run.provenance, "user_code": code})
    return StoredRun(run.folder)


def test_changes_of_own_code_are_printed(
    run: StoredRun, checkout: Checkout, faked: Rerun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code of the user's own package is not restored, unless it is in the project's repository."""
    package = tmp_path / "work" / "mine"
    package.mkdir(parents=True)
    (package / "nets.py").write_text("one = 1\n")
    own = own_run(run, package, commit="c" * 40, uncommitted=True)
    calls = faked()

    def printed(number: int) -> list[str]:
        assert again(own, checkout, output=tmp_path / f"again-{number}") == 0
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("own code")]

    assert printed(1) == []
    assert calls[-1]["own"] == [str(tmp_path / "work")], "found on the import path"
    (package / "nets.py").write_text("one = 2\n")
    [line] = printed(2)
    assert line.endswith(
        "has changed since the run (commit cccccccccc, with uncommitted changes); its current files are used"
    )
    shutil.rmtree(package)
    [line] = printed(3)
    assert f"mine: {package} does not exist" in line
    own = own_run(run, checkout.folder / "src" / "trainyard" / "one.py")
    checkout.edit("src/trainyard/one.py", "2", "3")
    assert printed(4) == [], "checked out with its commit"


def test_own_code_needs_confirmation(run: StoredRun, checkout: Checkout, faked: Rerun, tmp_path: Path) -> None:
    faked()
    (tmp_path / "mine.py").touch()
    with pytest.raises(ConfigError, match=r"model\._target_=mine\.Model: .* must not build it here\n  accepted: --yes"):
        again(own_run(run, tmp_path / "mine.py"), checkout, yes=False)


def test_empty_directory_is_accepted(run: StoredRun, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert choose_directory(run, tmp_path / "empty") == tmp_path / "empty"


def test_a_run_is_bitwise_equal_from_commit_and_patch(
    compose_run: Compose, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout = Checkout.make(tmp_path / "project", whole=True)
    train(compose_run(*TINY))
    checkout.edit(
        "src/trainyard/run/training.py", "run.begin_training(cfg)", 'log.info("patched"), run.begin_training(cfg)'
    )
    run = StoredRun(tmp_path / "run")
    write_json(run.folder / "provenance.json", {**run.provenance, "git": read_git_state(checkout.folder)})
    checkout.git("checkout", "-q", "-b", "other")
    checkout.commit("what the run had as a patch")
    checkout.edit("src/trainyard/run/training.py", '"patched"', '"staged"')
    checkout.git("add", "-A")
    checkout.edit("src/trainyard/run/training.py", '"staged"', '"changed"')
    before = checkout.state()
    capfd.readouterr()
    package = checkout.folder / "src" / "trainyard"
    assert reproduce(StoredRun(run.folder), tmp_path / "again", yes=True, package=package) == 0
    said = capfd.readouterr().out
    assert said.splitlines()[-1] == "bitwise equal"
    assert "\npatched\n" in said
    assert "epoch 1/1" in said
    assert checkout.state() == before
    config = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert config["logger"]["csv"]["save_dir"] == config["run"]["dir"] == str(tmp_path / "again")
    assert {**config, "run": 0, "logger": 0} == {**run.config, "run": 0, "logger": 0}
