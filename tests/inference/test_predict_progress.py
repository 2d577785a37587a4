"""A bar shows on a terminal that has no rows on it, and nowhere else; what takes seconds is imported late."""

import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.inference.predict import progress_bar

REPOSITORY = Path(__file__).parents[2]


def shown(capsys: pytest.CaptureFixture[str], total: int | None, rows_on_screen: bool = False) -> str:
    with progress_bar(hidden=rows_on_screen) as bar:
        task = bar.add_task("", total=total)
        bar.advance(task, 30)
        bar.advance(task, 12)
    screen, errors = capsys.readouterr()
    assert screen == "", "the rows go there"
    return errors


def test_nothing_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, 100) == ""


@pytest.mark.parametrize(("total", "said"), [(100, "42/100"), (None, "42/?")])
def test_a_terminal_shows_how_many_are_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, total: int | None, said: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert said in shown(capsys, total)
    assert shown(capsys, total, rows_on_screen=True) == ""


def test_help_and_typos_need_no_torch() -> None:
    code = (
        "import sys, trainyard.cli.commands, trainyard.inference.predict; print({'torch', 'pandas'} & {*sys.modules})"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("set()\n", "")
