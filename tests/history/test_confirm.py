"""Code that comes with a run's directory runs only if the user agrees."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.history.recorded import record
from trainyard.config.composition import CONF_DIR, compose
from trainyard.config.trusted import check_stored
from trainyard.config.trusted_paths import check_paths, use_own_caches
from trainyard.history.diff import CodeVersion
from trainyard.history.reproduce import confirm
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError

PATCH = "--- a/one.py\n+++ b/one.py\n@@ -1 +1 @@\n-one = 1\n+one = 2\n"
PATCHED = CodeVersion("a" * 40, PATCH)
FOREIGN = {"callbacks": {"x": {"_target_": "os.system"}}}


def ask(run: StoredRun, code: CodeVersion | None, yes: bool = False) -> None:
    confirm(run, code, yes, run.config, run.folder)


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


def test_committed_code_needs_no_confirmation(run: StoredRun, terminal) -> None:
    terminal()
    ask(run, CodeVersion("a" * 40))
    ask(run, None)


def test_patch_needs_confirmation(run: StoredRun, terminal) -> None:
    terminal()
    with pytest.raises(ConfigError, match=r"RUN=one: .*a patch of 2 lines in one.py\n  accepted: --yes"):
        ask(run, PATCHED)
    ask(run, PATCHED, yes=True)


def configs() -> dict[str, dict]:
    """The config of a run with each option of the project, by its name."""
    words = [f"{file.parent.name}={file.stem}" for file in sorted(CONF_DIR.glob("*/*.yaml"))]
    own = [word for word in words if word.partition("=")[0] not in ("hydra", "sweep", "shared", "experiment")]
    own += ["experiment=digits_transfer", "experiment=cifar10"]
    more = {"experiment=cifar10": ["data.root=."]}
    return {word: OmegaConf.to_container(compose([word, *more.get(word, [])])) for word in own}


@pytest.mark.slow
def test_options_of_the_project_need_no_confirmation() -> None:
    found = configs()
    assert len(found) > 50
    for config in found.values():
        use_own_caches(config)
        check_stored(config, unbuilt=["sweep"])
        check_paths(config, Path(config["run"]["dir"]))


@pytest.mark.parametrize(
    "name", ["torch.hub.load", "trainyard.run.provenance.run_git", "torch.optimal.X", "lightning.Fabric"]
)
def test_targets_outside_of_a_run_need_confirmation(tmp_path: Path, terminal, name: str) -> None:
    terminal()
    run = record(tmp_path / "runs" / "one", config={"model": {"_target_": name}})
    with pytest.raises(ConfigError, match=f"code from its directory: model._target_={name}: "):
        ask(run, None)


def test_classes_of_other_packages_need_confirmation(tmp_path: Path, terminal) -> None:
    terminal()
    run = record(tmp_path / "runs" / "one", config=FOREIGN)
    with pytest.raises(ConfigError, match=r"code from its directory: callbacks.x._target_=os.system: .*\n"):
        ask(run, CodeVersion("a" * 40))
    with pytest.raises(ConfigError, match=r"one.py and callbacks.x._target_=os.system: .*\n"):
        ask(run, PATCHED)


@pytest.mark.parametrize("answer", ["", "n", "no", "yesterday"])
def test_other_answers_mean_no(run: StoredRun, terminal, answer: str) -> None:
    left = terminal(answer)
    with pytest.raises(ConfigError):
        ask(run, PATCHED)
    assert list(left) == []


@pytest.mark.parametrize("answer", ["y", "Y", " yes "])
def test_yes_is_accepted(run: StoredRun, terminal, answer: str) -> None:
    left = terminal(answer)
    ask(run, PATCHED)
    assert list(left) == []
