"""What comes with a run's directory runs only when somebody agrees."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.history.recorded import record
from trainyard.config import CONF_DIR
from trainyard.errors import ConfigError
from trainyard.history.code import Code
from trainyard.history.consent import TRUSTED, agree, targets
from trainyard.stored.run import StoredRun

PATCH = "--- a/one.py\n+++ b/one.py\n@@ -1 +1 @@\n-one = 1\n+one = 2\n"
PATCHED = Code("a" * 40, PATCH)
FOREIGN = {"callbacks": [{"_target_": "os.system"}, {"_target_": "torch.nn.Identity"}]}


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    """A run whose config names nothing but the project's."""
    return record(tmp_path / "runs" / "one")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    """Sit at a terminal with answers; without any, where none is."""

    def sit(*answers: str) -> Iterator[str]:
        left = iter(answers)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: bool(answers), raising=False)
        monkeypatch.setattr("builtins.input", lambda question: next(left))
        return left

    return sit


def test_committed_code_is_not_asked_about(run: StoredRun, terminal) -> None:
    terminal()
    agree(run, Code("a" * 40), yes=False)
    agree(run, None, yes=False)


def test_a_patch_is_asked_about(run: StoredRun, terminal) -> None:
    terminal()
    with pytest.raises(ConfigError, match=r"RUN=one: .*a patch of 2 lines in one.py\n  accepted: --yes"):
        agree(run, PATCHED, yes=False)
    agree(run, PATCHED, yes=True)


def test_no_option_of_the_project_is_asked_about() -> None:
    named = {
        name
        for file in CONF_DIR.glob("*/*.yaml")
        if file.parent.name != "hydra"  # which no run keeps
        for name in targets(OmegaConf.to_container(OmegaConf.load(file)))
    }
    assert len(named) > 30
    others = {name for name in named if not name.startswith(TRUSTED)}
    assert all(name.startswith("optuna.") for name in others), "parts of sweeps"


@pytest.mark.parametrize("name", ["torch.hub.load", "trainyard.provenance.git", "torch.optimal.X", "lightning.Fabric"])
def test_so_is_what_is_no_part_of_a_run(tmp_path: Path, terminal, name: str) -> None:
    terminal()
    run = record(tmp_path / "runs" / "one", config={"model": {"_target_": name}})
    with pytest.raises(ConfigError, match=f"its directory brings: {name} by its config"):
        agree(run, None, yes=False)


def test_so_is_a_class_of_another_package(tmp_path: Path, terminal) -> None:
    terminal()
    run = record(tmp_path / "runs" / "one", config=FOREIGN)
    with pytest.raises(ConfigError, match=r"its directory brings: os.system by its config\n"):
        agree(run, Code("a" * 40), yes=False)
    with pytest.raises(ConfigError, match=r"one.py and os.system by its config\n"):
        agree(run, PATCHED, yes=False)


@pytest.mark.parametrize("answer", ["", "n", "no", "yesterday"])
def test_anything_but_yes_is_no(run: StoredRun, terminal, answer: str) -> None:
    left = terminal(answer)
    with pytest.raises(ConfigError):
        agree(run, PATCHED, yes=False)
    assert list(left) == []


@pytest.mark.parametrize("answer", ["y", "Y", " yes "])
def test_yes_is_yes(run: StoredRun, terminal, answer: str) -> None:
    left = terminal(answer)
    agree(run, PATCHED, yes=False)
    assert list(left) == []
