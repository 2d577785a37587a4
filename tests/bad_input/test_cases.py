"""Every case of bad input ends with a message of a few lines, and changes no file.

An eighth of the table runs by default, the rest with the slow tests.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.case import Case, read_cases
from tests.bad_input.conftest import Typed
from tests.bad_input.places import contents, furnish

REPOSITORY = Path(__file__).parents[2]
CASES = read_cases()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def check_said(case: Case, code: int, screen: str, errors: str) -> None:
    """Assert that a few lines name the key or the file, the value, and what is accepted."""
    said = errors if case.began else screen + errors
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("sweep  ")]
    assert code == case.code, said
    for words in case.says:
        assert words in said
    assert 1 <= len(lines) <= 5, said
    assert max(map(len, lines)) <= 400, said
    assert "Traceback" not in screen + errors
    assert "Error executing job" not in screen + errors  # by Hydra


def check_left(case: Case, place: Path, before: dict[str, bytes | None]) -> None:
    """Assert that a run that had started is recorded as failed, and that no other file has changed."""
    after = contents(place)
    if case.began:
        [run] = place.glob(case.began)
        assert json.loads((run / "result.json").read_text())["status"] == "failed"
        after = {name: content for name, content in after.items() if not name.startswith("outputs")}
    assert after == before


def test_cases_are_unique() -> None:
    assert len(CASES) >= 120
    assert len(set(map(repr, CASES))) == len(CASES)


HERE = [
    pytest.param(case, id=str(case), marks=[] if case.often else pytest.mark.slow) for case in CASES if not case.process
]


@pytest.mark.parametrize("case", HERE)
def test_bad_input(case: Case, place: Path, typed: Typed, trained: dict[str, Path]) -> None:
    furnish(place, case.files, {name: trained[name] for name in case.runs})
    before = contents(place)
    code, screen, errors = typed(case)
    check_said(case, code, screen, errors)
    check_left(case, place, before)


@pytest.mark.parametrize("case", [case for case in CASES if case.process], ids=str)
def test_bad_input_of_a_process(case: Case, place: Path, trained: dict[str, Path]) -> None:
    furnish(place, case.files, {name: trained[name] for name in case.runs})
    before = contents(place)
    program = [str(REPOSITORY / "train.py")] if case.command == "train" else ["-m", "trainyard", case.command]
    changed = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **case.env}
    environment = {name: value for name, value in changed.items() if value is not None}
    command = [sys.executable, *program, *case.typed]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    check_said(case, ended.returncode, ended.stdout, ended.stderr)
    check_left(case, place, before)
