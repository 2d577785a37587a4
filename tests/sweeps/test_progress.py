"""The output of a running sweep."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from tests.sweeps.synthetic import completed, stored
from trainyard.config.objective import Objective
from trainyard.sweeps import progress as module
from trainyard.sweeps.job import Job
from trainyard.sweeps.progress import JobProgress, SweepProgress
from trainyard.sweeps.sweep import Sweep

Build = Callable[..., tuple[SweepProgress, io.StringIO]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def make(terminal: bool = False, width: int = 80, fail_fast: bool = False) -> tuple[SweepProgress, io.StringIO]:
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=width, color_system=None)
        monkeypatch.setattr(module, "Console", lambda **options: console)
        found = stored(tmp_path, ["optimizer.lr=0.0,0.1,0.2,0.3", "+a=1"], [0.5, None, None, None])
        sweep = Sweep(found, retries=1, fail_fast=fail_fast)
        for job in sweep.queue:
            sweep.start(job)
            job.folder.mkdir()
        return SweepProgress(sweep), screen

    return make


def finish(progress: SweepProgress, number: int, error: str = "") -> None:
    """End a job, with a result unless it failed."""
    job = progress.sweep.jobs[number]
    if not error:
        (job.folder / "result.json").write_text(json.dumps(completed(0.9, epochs=20)))
    progress.sweep.finish(job, error)
    progress.finish(job)


def test_piped_output_has_a_line_for_each_job_that_ended(build: Build) -> None:
    progress, screen = build(width=20)
    with progress.bars:
        progress.start(progress.sweep.jobs[1])
        progress.start(progress.sweep.jobs[2])
        progress.update()
        finish(progress, 2)
        assert not progress.sweep.stopping
        finish(progress, 1, "RuntimeError: [b] is loose\nand more")
        assert not progress.sweep.stopping
    first, second = screen.getvalue().splitlines()
    assert re.fullmatch(r"\[2/4\] #2 optimizer\.lr=0\.2  val/acc 0\.9000 at epoch 2 of 20  1\.5 s", first)
    assert re.fullmatch(r"\[3/4\] #1 optimizer\.lr=0\.1  failed: RuntimeError: \[b\] is loose  \d+\.\d s", second)


def test_on_a_terminal_bars_show_the_running_jobs(build: Build, tmp_path: Path) -> None:
    progress, screen = build(terminal=True)
    with progress.bars:
        progress.start(progress.sweep.jobs[1])
        assert "0/?" in screen.getvalue()
        (tmp_path / "1" / "run.log").write_text(line(3, 0.9))
        progress.start(progress.sweep.jobs[2])
        shown = screen.getvalue()
        assert re.search(r"all jobs .* 1/4 ", shown)
        assert re.search(r"#1 optimizer\.lr=0\.1 .* 3/20 +0\.9000", shown)
        finish(progress, 1)
        assert re.search(r"all jobs .* 2/4 ", screen.getvalue())
    assert "\x1b[?25h" in screen.getvalue(), "the cursor is shown again"


def test_rows_are_cut_on_a_narrow_terminal(build: Build) -> None:
    progress, screen = build(terminal=True, width=58)
    with progress.bars:
        progress.start(progress.sweep.jobs[1])
        rows = [row for row in screen.getvalue().splitlines() if "#1" in row]
    shown = [re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", row) for row in rows]
    assert shown
    assert all("#1 optim" in row and "0/?" in row and len(row) <= 58 for row in shown)


def test_fail_fast_stops_at_the_first_failure(build: Build) -> None:
    progress, _ = build(fail_fast=True)
    progress.start(progress.sweep.jobs[1])
    progress.start(progress.sweep.jobs[2])
    finish(progress, 1)
    assert not progress.sweep.stopping
    finish(progress, 2, "no")
    assert progress.sweep.stopping


def line(epoch: int, accuracy: float, loss: float = 0.5) -> str:
    return (
        f"2026-11-24 16:29:33,713 INFO    trainyard.callbacks.progress: epoch {epoch}/20  train/loss 0.3828  "
        f"train/acc 0.9063  val/loss {loss:.4f}  val/acc {accuracy:.4f}\n"
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.log"


def job_progress(log: Path, objective: str = "val/acc") -> JobProgress:
    bars = Progress(disable=True)
    found = JobProgress(
        Job(0, [], log.parent), Objective.from_stored({"objective": objective}), bars, bars.add_task("", total=None)
    )
    found.update()
    return found


def test_the_bar_follows_the_log(log: Path) -> None:
    found = job_progress(log)
    [bar] = found.bars.tasks
    assert (bar.completed, bar.total, found.best) == (0, None, None)
    log.write_text("data       digits\n" + line(1, 0.9))
    found.update()
    assert (bar.completed, bar.total, found.best) == (1, 20, 0.9)
    with log.open("a") as file:
        file.write(line(2, 0.95) + line(3, 0.8))
    found.update()
    assert (bar.completed, found.best) == (3, 0.95)


def test_an_incomplete_line_is_read_when_it_is_complete(log: Path) -> None:
    whole = line(2, 0.9)
    log.write_text(line(1, 0.7) + whole[:-5])
    found = job_progress(log)
    [bar] = found.bars.tasks
    assert (bar.completed, found.best) == (1, 0.7)
    log.write_text(line(1, 0.7) + whole)
    found.update()
    assert (bar.completed, found.best) == (2, 0.9)


def test_the_smallest_loss_is_the_best(log: Path) -> None:
    log.write_text(line(1, 0.9, 0.4) + line(2, 0.9, 0.2) + line(3, 0.9, 0.3))
    assert job_progress(log, "val/loss").best == 0.2
