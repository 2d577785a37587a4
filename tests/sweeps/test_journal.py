"""The journal of a sweep: whose attempts ended how, also after a kill."""

import json
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.sweeps.synthetic import completed
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal, open_storage
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep
from trainyard.sweeps.sweep import Sweep


def job(folder: Path, number: int, **result: Any) -> Job:
    """A job whose directory says what became of it."""
    found = Job(number, [f"seed={number}"], folder / str(number))
    found.folder.mkdir(exist_ok=True)
    if result:
        (found.folder / "result.json").write_text(json.dumps(result))
    return found.refresh()


def trials(folder: Path) -> list[tuple[int, str, list[float] | None]]:
    """Job, state and score of each attempt, as another process reads the file."""
    found = Journal(folder, "val/acc").trials()
    return [(trial.user_attrs["job"], trial.state.name, trial.values) for trial in found]


def test_each_attempt_is_a_trial(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "val/acc")
    for number, result in enumerate([completed(0.75), {"status": "failed"}, {"status": "interrupted"}]):
        journal.start(job(tmp_path, number))
        journal.finish(job(tmp_path, number, **result))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.75]), (1, "FAIL", None), (2, "RUNNING", None)]
    assert journal.failures() == {1: 1}, "an interruption is no failure"
    journal.start(job(tmp_path, 1))
    journal.finish(job(tmp_path, 1, status="failed"))
    assert Journal(tmp_path, "val/acc").failures() == {1: 2}


def test_what_was_left_running_ends_as_its_directory_says(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "val/acc")
    for number in range(4):
        journal.start(job(tmp_path, number))
    results = {0: completed(0.5), 1: {"status": "failed"}, 2: {}, 3: {"status": "interrupted"}}
    jobs = {number: job(tmp_path, number, **result) for number, result in results.items()}
    later = Journal(tmp_path, "val/acc")
    later.finish_all(list(jobs.values()))
    assert trials(tmp_path) == [
        *[(0, "COMPLETE", [0.5]), (1, "FAIL", None)],
        *[(2, "RUNNING", None), (3, "RUNNING", None)],
    ]
    assert later.failures() == {1: 1}
    size = (tmp_path / "journal.log").stat().st_size
    later.finish_all(list(jobs.values()))
    assert (tmp_path / "journal.log").stat().st_size == size


def test_an_interrupted_job_continues_its_trial(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "val/acc")
    journal.start(job(tmp_path, 0))
    journal.finish(job(tmp_path, 0, status="interrupted"))
    later = Journal(tmp_path, "val/acc")
    later.start(job(tmp_path, 0))
    later.finish(job(tmp_path, 0, **completed(0.5)))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.5])]


@pytest.mark.parametrize("half", [b"{", b'{"op_code":4,"worker_id":"x"', b'{"op_code":4,"worker_id":"x"}'])
def test_half_a_line_that_a_kill_left_loses_nothing(tmp_path: Path, half: bytes) -> None:
    journal = Journal(tmp_path, "val/acc")
    journal.start(job(tmp_path, 0))
    journal.finish(job(tmp_path, 0, **completed(0.5)))
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(half)
    later = Journal(tmp_path, "val/acc")
    later.start(job(tmp_path, 1))
    later.finish(job(tmp_path, 1, **completed(0.25)))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.5]), (1, "COMPLETE", [0.25])]


def test_a_lock_that_a_kill_left_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's own would for half a minute; here the sweep's directory is held by one process in any case."""
    Journal(tmp_path, "val/acc")
    (tmp_path / "journal.log.lock").symlink_to(tmp_path / "journal.log")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    Journal(tmp_path, "val/acc").start(job(tmp_path, 0))
    assert trials(tmp_path) == [(0, "RUNNING", None)]


@pytest.mark.parametrize(("objective", "best"), [("val/acc", 0.75), ("val/loss", 0.25)])
def test_optuna_reads_it(tmp_path: Path, objective: str, best: float) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    journal = Journal(folder, objective)
    for number, score in enumerate([0.25, 0.75, 0.5]):
        journal.start(job(folder, number))
        journal.finish(job(folder, number, **completed(score)))
    assert optuna.load_study(study_name="mine", storage=open_storage(folder / "journal.log")).best_value == best


def sweep(folder: Path, jobs: int = 4, **options: Any) -> Sweep:
    space = SearchSpace({"seed": [str(number) for number in range(jobs)]})
    return Sweep(StoredSweep.create(folder, space, "val/acc"), options.pop("retries", 1), **options)


def numbers(jobs: list[Job]) -> list[int]:
    return [job.number for job in jobs]


def test_what_is_left_is_what_has_not_ended_and_what_may_fail_again(tmp_path: Path) -> None:
    first = sweep(tmp_path)
    assert numbers(first.unfinished()) == [0, 1, 2, 3]
    for number, result in enumerate([completed(0.5), {"status": "failed"}, {"status": "interrupted"}]):
        first.start(first.jobs[number])
        job(tmp_path, number, **result)
        first.finish(first.jobs[number], "")
    assert numbers(sweep(tmp_path, retries=0).unfinished()) == [2, 3]
    again = sweep(tmp_path, retries=1)
    assert numbers(again.unfinished()) == [1, 2, 3]
    again.start(again.jobs[1])
    again.finish(again.jobs[1], "RuntimeError: again")
    assert json.loads((tmp_path / "1" / "result.json").read_text())["error"] == "RuntimeError: again"
    assert numbers(sweep(tmp_path, retries=1).unfinished()) == [2, 3]
    assert numbers(sweep(tmp_path, retries=2).unfinished()) == [1, 2, 3]


@pytest.mark.parametrize("result", [{}, {"status": "interrupted", "error": None}, completed(0.5)])
def test_a_process_that_ended_badly_has_failed_whatever_its_run_says(tmp_path: Path, result: dict[str, Any]) -> None:
    """A run takes `sys.exit` for an interruption; one that is killed says nothing."""
    one = sweep(tmp_path, jobs=1)
    one.start(one.jobs[0])
    job(tmp_path, 0, **result)
    one.finish(one.jobs[0], "its process ended with code 3")
    assert one.jobs[0].status == "failed"
    assert one.jobs[0].result["error"] == "its process ended with code 3"
    assert one.journal.failures() == {0: 1}


def test_what_a_failed_attempt_left_is_removed_and_what_can_resume_stays(tmp_path: Path) -> None:
    sweep(tmp_path)
    for number, result in enumerate([{"status": "failed"}, {"status": "interrupted"}, {}, {"status": "interrupted"}]):
        folder = job(tmp_path, number, **result).folder / "checkpoints"
        folder.mkdir()
        if number < 3:
            (folder / "last.ckpt").touch()
    found = sweep(tmp_path)
    for each in found.jobs:
        found.start(each)
    assert [(tmp_path / str(number)).exists() for number in range(4)] == [False, True, True, False]


def test_of_equals_the_first_keeps_its_weights(tmp_path: Path) -> None:
    found = sweep(tmp_path, keep=2)
    for number, score in enumerate([0.5, 0.75, 0.75, 0.75]):
        found.start(found.jobs[number])
        (job(tmp_path, number, **completed(score)).folder / "checkpoints").mkdir()
        found.finish(found.jobs[number], "")
    assert [(tmp_path / str(number) / "checkpoints").exists() for number in range(4)] == [False, True, True, False]


def test_the_best_configuration_keeps_its_weights_not_the_lucky_fold(tmp_path: Path) -> None:
    space = SearchSpace({"lr": ["1", "2"], "data.fold": ["0", "1"]})
    found = Sweep(StoredSweep.create(tmp_path, space, "val/acc"), retries=1, keep=1)
    kept = []
    for number, score in enumerate([0.99, 0.1, 0.6, 0.7]):
        found.start(found.jobs[number])
        (job(tmp_path, number, **completed(score)).folder / "checkpoints").mkdir()
        found.finish(found.jobs[number], "")
        kept.append(sorted(int(path.parent.name) for path in tmp_path.glob("*/checkpoints")))
    assert kept == [[0], [0], [0, 2], [3]], "a configuration is judged when all of its folds have ended"
