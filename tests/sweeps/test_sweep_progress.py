"""What a person sees while a sweep runs."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.sweeps.synthetic import completed, stored
from trainyard.sweeps import progress as module
from trainyard.sweeps.execution.processes import JobExit
from trainyard.sweeps.job import Job
from trainyard.sweeps.progress import SweepProgress
from trainyard.sweeps.sweep import JobQueue, Sweep

Build = Callable[..., tuple[SweepProgress, io.StringIO]]
EPOCH = "... x: epoch 3/20  train/loss 0.3828  val/acc 0.9000\n"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def make(terminal: bool = False, width: int = 80, **options: bool) -> tuple[SweepProgress, io.StringIO]:
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=width, color_system=None)
        monkeypatch.setattr(module, "Console", lambda **options: console)
        found = stored(tmp_path, ["optimizer.lr=0.0,0.1,0.2,0.3", "+a=1"], [0.5, None, None, None])
        queue = JobQueue(Sweep(found, retries=1), None, 0, 4, "none")
        for job in queue:
            job.folder.mkdir()
        monkeypatch.setattr(queue.sweep, "finish", finish)
        return SweepProgress(queue, queue.started, lambda job: None, **options), screen

    return make


def finish(job: Job, error: str) -> None:
    """As a job does: leave a result."""
    done = completed(0.9, epochs=20)
    result = {"status": "failed", "error": error} if error else done
    (job.folder / "result.json").write_text(json.dumps(result))
    job.refresh()


def test_piped_it_is_a_line_for_each_job_that_ended(build: Build) -> None:
    progress, screen = build(width=20)
    with progress:
        progress.start(0)
        progress.start(1)
        progress.update()
        assert not progress.finish(JobExit(1, ""))
        assert not progress.finish(JobExit(0, "RuntimeError: [b] is loose\nand more"))
    first, second = screen.getvalue().splitlines()
    assert re.fullmatch(r"\[2/4\] #2 optimizer\.lr=0\.2  val/acc 0\.9000 at epoch 2 of 20  1\.5 s", first)
    assert re.fullmatch(r"\[3/4\] #1 optimizer\.lr=0\.1  failed: RuntimeError: \[b\] is loose  \d+\.\d s", second)


def test_on_a_terminal_a_table_tells_where_the_running_jobs_stand(build: Build, tmp_path: Path) -> None:
    progress, screen = build(terminal=True)
    with progress:
        progress.start(0)
        assert "starting" in screen.getvalue()
        (tmp_path / "1" / "run.log").write_text(EPOCH)
        progress.start(1)
        shown = screen.getvalue()
        assert re.search(r"job +epoch +best val/acc +to go", shown)
        assert re.search(r"#1 +optimizer\.lr=0\.1 +3/20 +0\.9000 +\d+ s", shown)
        assert shown.endswith("1 of 4 done")
        progress.finish(JobExit(0, ""))
        assert re.search(r"2 of 4 done, about \d+ s to go", screen.getvalue())
    assert "\x1b[?25h" in screen.getvalue(), "the cursor is back"


def test_a_narrow_terminal_cuts_and_never_wraps_a_row(build: Build) -> None:
    progress, screen = build(terminal=True, width=58)
    with progress:
        progress.start(0)
        rows = [line for line in screen.getvalue().splitlines() if "#1" in line]
    shown = [re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", row) for row in rows]
    assert shown
    assert all("optimizer.lr…" in row and "starting" in row and len(row) <= 58 for row in shown)


def test_the_first_failure_stops_where_that_is_wanted(build: Build) -> None:
    progress, _ = build(fail_fast=True)
    progress.start(0)
    progress.start(1)
    assert not progress.finish(JobExit(0, ""))
    assert progress.finish(JobExit(1, "no"))
