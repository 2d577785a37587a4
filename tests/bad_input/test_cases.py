"""Each case of bad input ends with a short error message that names the solution, and changes no files.

An eighth of the table belongs to the default suite, the rest is slow.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bad_input.case_files import prepare_folder, read_folder
from tests.bad_input.cases import Case, read_cases
from tests.bad_input.conftest import RunCase

REPOSITORY = Path(__file__).parents[2]
CASES = read_cases()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def check_output(case: Case, code: int, stdout: str, stderr: str) -> None:
    """Assert that a few lines name the key or the file, the value, and what is accepted."""
    message = stderr if case.failed_run else stdout + stderr
    lines = [line for line in message.splitlines() if line.strip() and not line.startswith("sweep  ")]
    assert code == case.code, message
    for text in case.output:
        assert text in message
    assert 1 <= len(lines) <= 5, message
    assert max(map(len, lines)) <= 400, message
    assert "Traceback" not in stdout + stderr
    assert "Error executing job" not in stdout + stderr  # Hydra's own message


def check_files(case: Case, folder: Path, before: dict[str, bytes | None]) -> None:
    """Assert that a run that has started is recorded as failed, and that no other file has changed."""
    after = read_folder(folder)
    if case.failed_run:
        [run] = folder.glob(case.failed_run)
        assert json.loads((run / "result.json").read_text())["status"] == "failed"
        after = {name: content for name, content in after.items() if not name.startswith("outputs")}
    assert after == before


def test_cases_are_unique() -> None:
    assert len(CASES) >= 120
    assert len(set(map(repr, CASES))) == len(CASES)


IN_PROCESS = [
    pytest.param(case, id=str(case), marks=[] if case.in_default_suite else pytest.mark.slow)
    for case in CASES
    if not case.process
]


@pytest.mark.parametrize("case", IN_PROCESS)
def test_bad_input(case: Case, folder: Path, run_case: RunCase, trained: dict[str, Path]) -> None:
    prepare_folder(folder, case.files, {name: trained[name] for name in case.runs})
    before = read_folder(folder)
    code, stdout, stderr = run_case(case)
    check_output(case, code, stdout, stderr)
    check_files(case, folder, before)


@pytest.mark.parametrize("case", [case for case in CASES if case.process], ids=str)
def test_bad_input_in_a_subprocess(case: Case, folder: Path, trained: dict[str, Path]) -> None:
    prepare_folder(folder, case.files, {name: trained[name] for name in case.runs})
    before = read_folder(folder)
    program = [str(REPOSITORY / "train.py")] if case.command == "train" else ["-m", "trainyard", case.command]
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **case.env}
    environment = {name: value for name, value in variables.items() if value is not None}
    command = [sys.executable, *program, *case.argv]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    check_output(case, process.returncode, process.stdout, process.stderr)
    check_files(case, folder, before)
