"""The journal of a sweep: trials of its jobs, also after a kill."""

import os
import threading
import time
from pathlib import Path

import optuna
import pytest

from tests.sweeps.synthetic import completed, job
from trainyard.config.objective import Objective
from trainyard.sweeps.journal import Journal, JournalLock, open_storage


def trials(folder: Path) -> list[tuple[int, str, list[float] | None]]:
    """Return job, state and score of each trial, as another process reads the file."""
    found = Journal(folder, Objective("val/acc", "max")).trials()
    return [(trial.user_attrs["job"], trial.state.name, trial.values) for trial in found]


def test_each_failed_attempt_is_a_trial(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    for number, result in enumerate([completed(0.75), {"status": "failed"}, {"status": "interrupted"}]):
        journal.start(job(tmp_path, number))
        journal.finish(job(tmp_path, number, **result))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.75]), (1, "FAIL", None), (2, "RUNNING", None)]
    assert journal.failures() == {1: 1}, "an interruption is not a failure"
    journal.start(job(tmp_path, 1))
    journal.finish(job(tmp_path, 1, status="failed"))
    assert Journal(tmp_path, Objective("val/acc", "max")).failures() == {1: 2}


def test_jobs_that_ended_after_a_kill_are_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    for number in range(4):
        journal.start(job(tmp_path, number))
    results = {0: completed(0.5), 1: {"status": "failed"}, 2: {}, 3: {"status": "interrupted"}}
    jobs = {number: job(tmp_path, number, **result) for number, result in results.items()}
    later = Journal(tmp_path, Objective("val/acc", "max"))
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
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    journal.start(job(tmp_path, 0))
    journal.finish(job(tmp_path, 0, status="interrupted"))
    later = Journal(tmp_path, Objective("val/acc", "max"))
    later.start(job(tmp_path, 0))
    later.finish(job(tmp_path, 0, **completed(0.5)))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.5])]


def test_no_job_reads_the_trials_of_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    reads: list[int] = []
    monkeypatch.setattr(journal, "trials", lambda: reads.append(1))
    for number in range(3):
        journal.start(job(tmp_path, number))
        journal.finish(job(tmp_path, number, **completed(0.5)))
    assert not reads
    assert trials(tmp_path) == [(number, "COMPLETE", [0.5]) for number in range(3)]


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_writers_of_a_machine_queue_before_the_lock_of_all_machines(tmp_path: Path) -> None:
    import fcntl

    Journal(tmp_path, Objective("val/acc", "max"))
    file = tmp_path / "journal.log"
    lock = JournalLock(str(file))
    with file.open("ab") as other:
        lock.acquire()
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert file.with_name("journal.log.lock").is_symlink(), "other machines see this lock"
        lock.release()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not file.with_name("journal.log.lock").is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="needs flock")
def test_a_restarted_sweep_does_not_break_the_lock_of_a_job_that_still_writes(tmp_path: Path) -> None:
    Journal(tmp_path, Objective("val/acc", "max"))
    lock = JournalLock(str(tmp_path / "journal.log"))
    lock.acquire()
    restarted = threading.Thread(target=Journal, args=(tmp_path, Objective("val/acc", "max")))
    restarted.start()
    restarted.join(0.2)
    assert restarted.is_alive()
    assert (tmp_path / "journal.log.lock").is_symlink()
    lock.release()
    restarted.join()


@pytest.mark.parametrize("half", [b"{", b'{"op_code":4,"worker_id":"x"', b'{"op_code":4,"worker_id":"x"}'])
def test_an_incomplete_line_is_removed(tmp_path: Path, half: bytes) -> None:
    journal = Journal(tmp_path, Objective("val/acc", "max"))
    journal.start(job(tmp_path, 0))
    journal.finish(job(tmp_path, 0, **completed(0.5)))
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(half)
    later = Journal(tmp_path, Objective("val/acc", "max"))
    later.start(job(tmp_path, 1))
    later.finish(job(tmp_path, 1, **completed(0.25)))
    assert trials(tmp_path) == [(0, "COMPLETE", [0.5]), (1, "COMPLETE", [0.25])]


def test_a_stale_lock_is_removed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna would wait for half a minute; only one process at a time uses the journal of a sweep."""
    Journal(tmp_path, Objective("val/acc", "max"))
    (tmp_path / "journal.log.lock").symlink_to(tmp_path / "journal.log")
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    Journal(tmp_path, Objective("val/acc", "max")).start(job(tmp_path, 0))
    assert trials(tmp_path) == [(0, "RUNNING", None)]


@pytest.mark.parametrize(("mode", "best"), [("max", 0.75), ("min", 0.25)])
def test_optuna_reads_the_journal(tmp_path: Path, mode: str, best: float) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    journal = Journal(folder, Objective("val/mine", mode))
    for number, score in enumerate([0.25, 0.75, 0.5]):
        journal.start(job(folder, number))
        journal.finish(job(folder, number, **completed(score)))
    assert optuna.load_study(study_name="mine", storage=open_storage(folder / "journal.log")).best_value == best
