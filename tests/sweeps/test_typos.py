"""What a person mistypes of a sweep is told in a few lines, and nothing is lost or left."""

from tests.sweeps.sweeping import FAULT, Place


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
