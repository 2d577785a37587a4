"""What a person mistypes of a sweep is told in a few lines, and nothing is lost or left."""

import pytest

from tests.sweeps.sweeping import FAULT, Place

# What is typed, and what the error says.
TYPOS = [
    ("sweep.retries=-1", "sweep.retries=-1"),
    ("sweep.keep=0", "sweep.keep=0"),
    ("sweep.fail_fast=3", "sweep.fail_fast=3"),
    ("sweep.name=..", "sweep.name=..: it is not the name of one folder"),
    ("sweep.name=a/b", "sweep.name=a/b: it is not the name of one folder"),
    ("objective=val/loss,val/acc", "objective=val/loss,val/acc: scores of several metrics cannot be ranked"),
    ("hydra.launcher.slots=0", "hydra.launcher.slots=0"),
    ("hydra.launcher.slots=two", "hydra.launcher.slots=two"),
    ("objective=val/los", "objective=val/los: not a validation metric"),
    ("optimizer=glob(zzz*)", "optimizer=glob(zzz*): no values"),
]


@pytest.mark.parametrize(("typed", "said"), TYPOS)
def test_a_typo_starts_nothing(place: Place, typed: str, said: str) -> None:
    slots = typed.partition("slots=")[2]
    words = ("sweep.name=no", "seed=0,1", *([] if slots else [typed]))
    _, errors = place.sweep(*words, code=1, slots=slots or 2)
    assert said in errors
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 6
    assert not [path for path in place.folder.rglob("*") if path.is_file()]


def test_jobs_that_do_not_compose_are_named_together_and_other_files_stay(place: Place) -> None:
    notes = place.folder / "mine" / "notes.txt"
    notes.parent.mkdir()
    notes.touch()
    _, errors = place.sweep("hydra.sweep.dir=mine", "optimizer=sgdd,adam,adamm", code=1)
    assert "sweep.name=mine: mine contains other files (notes.txt)" in errors
    notes.unlink()
    _, errors = place.sweep("hydra.sweep.dir=mine", "optimizer=sgdd,adam,adamm", code=1)
    assert "2 of 3 jobs cannot work; none was started" in errors
    assert "did you mean sgd" in errors
    assert "did you mean adam" in errors
    assert not notes.parent.exists()


def test_a_job_that_leaves_without_an_error_is_not_done(place: Place) -> None:
    said, _ = place.sweep("sweep.name=left", *FAULT, "+callbacks.fault.kind=none,leave", code=1)
    assert "1 not done: #1; the same command resumes them" in said


def test_a_reader_that_goes_away_does_not_end_the_jobs(place: Place) -> None:
    process = place.start("sweep.name=pipe", "seed=0,1")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("sweep ")
    process.stdout.close()
    with process.stderr:
        [line] = process.stderr.read().splitlines()
    assert line.startswith("stdout cannot be written")
    assert process.wait(timeout=300) == 0
    assert place.statuses("pipe", 2) == ["completed", "completed"]
