"""The folder of TensorBoard's files goes away while a run trains: the run does not."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import Compose
from tests.faults.happenings import SMALL
from trainyard import event_files
from trainyard.event_files import EventFile, EventWriter, purge_events
from trainyard.training import train


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.mark.parametrize("what", ["tensorboard", "metrics.csv", "run.log"])
def test_training_goes_on_without_its_log(what: str, compose_run: Compose, tmp_path: Path) -> None:
    gone = f"+callbacks.gone={{_target_:tests.faults.happenings.Removed,path:{tmp_path / 'run' / what}}}"
    score = train(compose_run(*SMALL, "trainer.max_epochs=3", gone)).objective
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["epochs"], result["objective"]["value"]) == ("completed", 3, score)
    assert {file.name for file in (tmp_path / "run" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    if what == "tensorboard":
        log = (tmp_path / "run" / "run.log").read_text()
        assert log.count("TensorBoard loses the run so far (removed") == 1
        assert [step for step, _ in scalars(tmp_path / "run" / "tensorboard", "val/loss")] == [7, 11], "what came after"


def test_a_file_that_cannot_be_written_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "tensorboard"
    place.write_text("in the way")
    writer = EventWriter(str(place))
    for step in range(3):
        writer.add_scalar("loss", 0.5, step)
        writer.flush()
    assert [record.getMessage() for record in caplog.records] == [
        f"TensorBoard loses the run so far (File exists: {place}); training goes on"
    ]
    place.unlink()
    writer.add_scalar("loss", 0.25, 3)
    writer.close()
    assert scalars(place, "loss") == [(3, 0.25)]


def test_what_waits_in_memory_has_a_limit(tmp_path: Path) -> None:
    writer = EventWriter(str(tmp_path))
    writer.add_text("config", "x" * (1 << 21))
    [file] = tmp_path.iterdir()
    assert file.stat().st_size > 1 << 21
    assert isinstance(writer.file_writer, EventFile)
    assert writer.file_writer.waiting.tell() == 0


def test_a_session_is_read_after_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the clock was set back in the meantime, and when two sessions begin within a second."""
    for session, step in enumerate((0, 2, 2, 3)):
        monkeypatch.setattr(event_files, "EPOCH", event_files.EPOCH - 3600.0 * (session == 1))
        if session:
            purge_events(tmp_path.parent, step)
        writer = EventWriter(str(tmp_path))
        for number in range(step, step + 3):
            writer.add_scalar("loss", 10.0 * session + number, number)
        writer.close()
    assert len({file.name for file in tmp_path.iterdir()}) == 4 + 3
    assert scalars(tmp_path, "loss") == [(0, 0.0), (1, 1.0), (2, 22.0), (3, 33.0), (4, 34.0), (5, 35.0)]


def test_a_resumed_run_whose_file_was_cut_has_each_point_once(tmp_path: Path) -> None:
    writer = EventWriter(str(tmp_path))
    for number in range(4):
        writer.add_scalar("loss", 1.0, number)
    writer.close()
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])  # killed in the middle of step 3
    purge_events(tmp_path, 2)
    writer = EventWriter(str(tmp_path))
    for number in (2, 3):
        writer.add_scalar("loss", 2.0, number)
    writer.close()
    assert scalars(tmp_path, "loss") == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]
