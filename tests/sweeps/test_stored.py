"""The directory of a sweep: its files, its lock, and damaged files."""

import json
import math
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.sweeps.synthetic import completed, space, stored
from trainyard.callbacks.checkpoint_files import write_checkpoint
from trainyard.config.objective import Objective
from trainyard.io.errors import ConfigError
from trainyard.run.run import Run
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
from trainyard.sweeps.stored import StoredSweep, differences, lock_sweep
from trainyard.sweeps.sweep import Sweep

ACCURACY = Objective("val/acc", "max")


def test_a_second_process_gets_an_error_with_the_first_one(tmp_path: Path) -> None:
    with lock_sweep(tmp_path):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} is running it"), lock_sweep(tmp_path):
            pass
        assert (tmp_path / "holder").read_text() == f"{os.getpid()}\n", "the lock is still held"
    with lock_sweep(tmp_path):
        pass


def test_another_search_space_is_rejected(tmp_path: Path) -> None:
    own = space(["seed=0,1", "model=mlp", "+x='a,b',null"])
    StoredSweep.create(tmp_path, own, ACCURACY)
    written = (tmp_path / "sweep.yaml").read_text()
    StoredSweep.create(tmp_path, own, ACCURACY)
    with pytest.raises(ConfigError) as raised:
        StoredSweep.create(
            tmp_path, space(["seed=0,1,2", "optimizer=sgd", "+x='a,b',null"]), Objective("val/acc", "max")
        )
    assert str(raised.value).splitlines() == [
        f"sweep.name={tmp_path.name}: it is another sweep",
        "  seed: before 0,1, now 0,1,2",
        "  model: before mlp, now nothing",
        "  optimizer: before nothing, now sgd",
        "  accepted: the same command, to resume it; or another sweep.name",
    ]
    assert (tmp_path / "sweep.yaml").read_text() == written


def test_another_order_is_another_sweep(tmp_path: Path) -> None:
    """Its jobs would have other numbers."""
    StoredSweep.create(tmp_path, space(["seed=0,1", "model=mlp,cnn"]), ACCURACY)
    with pytest.raises(ConfigError, match="another order"):
        StoredSweep.create(tmp_path, space(["model=mlp,cnn", "seed=0,1"]), ACCURACY)
    assert differences({"seed": ["0", "1"]}, {"seed": ["1", "0"]}) == "  seed: before 0,1, now 1,0"


def test_a_folder_with_other_files_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "picture.png").touch()
    with pytest.raises(ConfigError, match=r"contains other files \(0\)"):
        StoredSweep.create(tmp_path, space(["seed=0,1"]), ACCURACY)
    assert [path.name for path in tmp_path.rglob("*")] == ["0", "picture.png"]


COMPLETE = completed(0.5)
DAMAGED_RESULTS = {
    "a list": [],
    "null": None,
    "a text": "completed",
    "no status": {},
    "an unknown status": {"status": "done"},
    "a status that is a list": {"status": ["completed"]},
    "only a status": {"status": "completed"},
    "no objective": {**COMPLETE, "objective": None},
    "no value": {**COMPLETE, "objective": {"name": "val/acc", "epoch": 2}},
    "a value of text": {**COMPLETE, "objective": {"name": "val/acc", "value": "0.5", "epoch": 2}},
    "a value of true": {**COMPLETE, "objective": {"name": "val/acc", "value": True, "epoch": 2}},
    "no epoch": {**COMPLETE, "objective": {"name": "val/acc", "value": 0.5}},
    "no checkpoint": {**COMPLETE, "checkpoint": None},
    "an infinite value": {**COMPLETE, "objective": {"name": "val/acc", "value": math.inf, "epoch": 2}},
    "a value of NaN": {**COMPLETE, "objective": {"name": "val/acc", "value": math.nan, "epoch": 2}},
    "a value too large for a float": {**COMPLETE, "objective": {"name": "val/acc", "value": 10**400, "epoch": 2}},
    "an objective without a metric": {**COMPLETE, "metrics": {"test/acc": 0.5}},
    "no metrics": {**COMPLETE, "metrics": []},
    "a metric of text": {**COMPLETE, "metrics": {"test/acc": "high"}},
    "seconds of text": {**COMPLETE, "seconds": "long"},
}


@pytest.mark.parametrize("damage", DAMAGED_RESULTS)
def test_a_job_with_a_damaged_result_runs_again(tmp_path: Path, damage: str) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [0.5, 0.75])
    (tmp_path / "0" / "result.json").write_text(json.dumps(DAMAGED_RESULTS[damage]))
    first, second = sweep.jobs
    assert (first.result, first.status, first.score) == ({}, "waiting", None)
    assert second.score == 0.75
    assert [job.number for job in Sweep(sweep, retries=1).unfinished()] == [0]
    assert [row.status for row in sweep.rows] == ["completed", "waiting"]
    assert "waiting" in leaderboard_text(sweep)


def resume_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint from which a run with the same config would resume."""
    cfg = OmegaConf.create({"seed": 0})
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    run = Run(folder)
    run.find_earlier_run(cfg, resume=False)
    return run.resume_checkpoint


@pytest.mark.parametrize("content", ["[]", "null", "3", "", "{"])
def test_a_run_with_a_damaged_result_resumes_from_its_checkpoint(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    assert resume_checkpoint(tmp_path) == tmp_path / "checkpoints" / "last.ckpt"
    assert Job(0, [], tmp_path).refresh().can_resume


def test_a_job_resumes_from_the_previous_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "checkpoints" / "previous.ckpt")
    assert Job(0, [], tmp_path).refresh().can_resume
    assert resume_checkpoint(tmp_path) == tmp_path / "checkpoints" / "previous.ckpt"


def test_temporary_files_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b,c"], [0.5, None, {"status": "failed", "error": "E"}])
    for number in range(4):
        (tmp_path / f".{number}.removed").mkdir()
    stale = [tmp_path / ".sweep.yaml.99999999.draft", tmp_path / "0" / "checkpoints" / "last.ckpt.99999999.draft"]
    for path in stale:
        path.touch()
    Sweep(found, retries=1)
    assert not any(path.exists() for path in stale)
    assert {path.name for path in tmp_path.glob(".*.removed")} == {".1.removed"}, "its job has not ended yet"


@pytest.mark.parametrize("kind", ["a file", "a broken link", "a folder"])
def test_an_attempt_that_cannot_resume_is_kept_until_the_job_has_ended(tmp_path: Path, kind: str) -> None:
    sweep = Sweep(stored(tmp_path, ["model=a,b"], [0.5, None]), retries=1)
    job = sweep.jobs[1]
    make = {"a file": job.folder.touch, "a folder": job.folder.mkdir}
    make.get(kind, lambda: job.folder.symlink_to("x"))()
    sweep.start(job)
    assert not os.path.lexists(job.folder)
    assert os.path.lexists(tmp_path / ".1.removed")
    sweep.finish(job, "")
    assert os.path.lexists(tmp_path / ".1.removed"), "the job was interrupted"
    sweep.finish(job, "RuntimeError: no")
    assert not os.path.lexists(tmp_path / ".1.removed")


def test_a_missing_test_score_is_left_out(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [{**COMPLETE, "metrics": {"val/acc": 0.5}}, None])
    assert "test/acc" not in leaderboard_text(sweep, test=True)


def test_a_truncated_sweep_file_is_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    found = stored(folder, ["model=a,b", "seed=0,1"], [0.5, 0.75, 0.25, 0.5])
    file = folder / "sweep.yaml"
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(ConfigError, match="cannot be read"):
            StoredSweep.find(str(folder))
    without_checksum = content.partition(b"\n")[2]  # written by an earlier version
    for complete in (content, without_checksum):
        file.write_bytes(complete)
        assert StoredSweep.find(str(folder)).space == found.space


DAMAGED_SPACES = {
    "empty": b"",
    "garbage": b"garbage",
    "an incomplete list": b"a: [",
    "bytes": b"\xff\xfe\x00",
    "a list": b"- 1",
    "no objective": b"values:\n  model: [a, b]\n",
    "no values": b"objective: val/acc\n",
    "values without keys": b"objective: val/acc\nvalues: [a, b]\n",
    "a value that is not a list": b"objective: val/acc\nvalues:\n  model: a\n",
    "an empty list": b"objective: val/acc\nvalues:\n  model: []\n",
    "an incomplete interpolation": b"objective: val/acc\nvalues:\n  model: ['${a']\n",
}


@pytest.mark.parametrize("damage", DAMAGED_SPACES)
def test_a_damaged_sweep_file_is_rejected_and_not_changed(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "mine"
    stored(folder, ["model=a,b"], [0.5, 0.75])
    (folder / "sweep.yaml").write_bytes(DAMAGED_SPACES[damage])
    same = space(["model=a,b"])
    for use in (
        lambda: StoredSweep.find(str(folder)),
        lambda: StoredSweep.create(folder, same, ACCURACY),
    ):
        with pytest.raises(ConfigError) as raised:
            use()
        assert str(raised.value).splitlines() == [
            f"sweep.name=mine: {folder / 'sweep.yaml'} cannot be read",
            "  accepted: another sweep.name, or the folder moved away",
        ]
    assert (folder / "sweep.yaml").read_bytes() == DAMAGED_SPACES[damage]


def test_a_test_score_may_be_infinite(tmp_path: Path) -> None:
    results = [{**COMPLETE, "metrics": {"val/acc": 0.5, "test/acc": value}} for value in (math.inf, 0.5)]
    assert "inf ± nan (2)" in leaderboard_text(stored(tmp_path, ["seed=0,1"], results))


def test_a_folder_in_place_of_a_file_is_rejected(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b"], [0.5, 0.75])
    (tmp_path / "leaderboard.md").mkdir()
    with pytest.raises(ConfigError, match=r"leaderboard\.md is a folder, but must be a file"):
        write_report(found)
    (tmp_path / "journal.log").mkdir()
    with pytest.raises(ConfigError, match=r"journal\.log cannot be read"):
        Sweep(found, retries=1)


def test_interpolations_are_stored_as_text(tmp_path: Path) -> None:
    words = ["model=a,b", "+note=${nowhere}", "+n=1,1e-05,null,???"]
    assert stored(tmp_path, words, [None] * 8).space == space(words)


@pytest.mark.parametrize("garbage", [b"garbage\n", b"[1]\n", b'{"op_code":99,"worker_id":"x"}\n', b"\xff\xfe\n"])
@pytest.mark.parametrize("place", [0, 1, 99])
def test_a_damaged_journal_is_rejected_and_not_changed(tmp_path: Path, garbage: bytes, place: int) -> None:
    file = tmp_path / "journal.log"
    one, _ = stored(tmp_path, ["model=a,b"], [0.5, 0.25]).jobs
    Journal(tmp_path, ACCURACY).start(one)
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert(place, garbage)  # 99: after the last line
    file.write_bytes(b"".join(lines))
    with pytest.raises(ConfigError, match=r"journal\.log cannot be read .*\n  accepted: the file moved away"):
        Journal(tmp_path, ACCURACY)
    assert file.read_bytes() == b"".join(lines)
