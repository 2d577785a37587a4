"""Files of a sweep that something has damaged: what cannot be read is told, or made anew, and nothing is lost."""

import json
import math
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.sweeps.synthetic import completed, space, stored
from trainyard.callbacks.checkpoint_files import write_checkpoint
from trainyard.io.errors import ConfigError
from trainyard.run.run import Run
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
from trainyard.sweeps.stored import StoredSweep
from trainyard.sweeps.sweep import Sweep

WHOLE = completed(0.5)
NOT_WHOLE = {
    "a list": [],
    "null": None,
    "a text": "completed",
    "no status": {},
    "no such status": {"status": "done"},
    "a status of no text": {"status": ["completed"]},
    "a status alone": {"status": "completed"},
    "no objective": {**WHOLE, "objective": None},
    "no value": {**WHOLE, "objective": {"name": "val/acc", "epoch": 2}},
    "a value of text": {**WHOLE, "objective": {"name": "val/acc", "value": "0.5", "epoch": 2}},
    "a value that is true": {**WHOLE, "objective": {"name": "val/acc", "value": True, "epoch": 2}},
    "no epoch": {**WHOLE, "objective": {"name": "val/acc", "value": 0.5}},
    "no checkpoint": {**WHOLE, "checkpoint": None},
    "an infinite value": {**WHOLE, "objective": {"name": "val/acc", "value": math.inf, "epoch": 2}},
    "a value of NaN": {**WHOLE, "objective": {"name": "val/acc", "value": math.nan, "epoch": 2}},
    "a value that no float holds": {**WHOLE, "objective": {"name": "val/acc", "value": 10**400, "epoch": 2}},
    "an objective without a metric": {**WHOLE, "metrics": {"test/acc": 0.5}},
    "no metrics": {**WHOLE, "metrics": []},
    "a metric of text": {**WHOLE, "metrics": {"test/acc": "high"}},
    "seconds of text": {**WHOLE, "seconds": "long"},
}


@pytest.mark.parametrize("damage", NOT_WHOLE)
def test_a_result_that_is_not_whole_is_none_and_its_job_runs_again(tmp_path: Path, damage: str) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [0.5, 0.75])
    (tmp_path / "0" / "result.json").write_text(json.dumps(NOT_WHOLE[damage]))
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
def test_a_run_goes_on_from_its_checkpoint_where_its_result_is_no_result(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    assert resume_checkpoint(tmp_path) == tmp_path / "checkpoints" / "last.ckpt"
    assert Job(0, [], tmp_path).refresh().can_resume


def test_a_job_with_the_checkpoint_before_the_last_alone_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "checkpoints" / "previous.ckpt")
    assert Job(0, [], tmp_path).refresh().can_resume
    assert resume_checkpoint(tmp_path) == tmp_path / "checkpoints" / "previous.ckpt"


def test_temporary_files_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b,c"], [0.5, None, {"status": "failed", "error": "E"}])
    stale = [tmp_path / ".sweep.yaml.99999999.draft", tmp_path / "0" / "checkpoints" / "last.ckpt.99999999.draft"]
    for path in stale:
        path.touch()
    Sweep(found, retries=1)
    assert not any(path.exists() for path in stale)


@pytest.mark.parametrize("kind", ["a file", "a broken link", "a folder"])
def test_what_lies_in_place_of_a_job_is_removed_when_it_starts(tmp_path: Path, kind: str) -> None:
    sweep = Sweep(stored(tmp_path, ["model=a,b"], [0.5, None]), retries=1)
    job = sweep.jobs[1]
    make = {"a file": job.folder.touch, "a folder": job.folder.mkdir}
    make.get(kind, lambda: job.folder.symlink_to("x"))()
    sweep.start(job)
    assert not os.path.lexists(job.folder)


def test_a_test_score_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [{**WHOLE, "metrics": {"val/acc": 0.5}}, None])
    assert "test/acc" not in leaderboard_text(sweep, test=True)


DAMAGED = {
    "empty": b"",
    "garbage": b"garbage",
    "a torn list": b"a: [",
    "bytes": b"\xff\xfe\x00",
    "a list": b"- 1",
    "no objective": b"values:\n  model: [a, b]\n",
    "no values": b"objective: val/acc\n",
    "values of no key": b"objective: val/acc\nvalues: [a, b]\n",
    "a value that is no list": b"objective: val/acc\nvalues:\n  model: a\n",
    "a list of nothing": b"objective: val/acc\nvalues:\n  model: []\n",
    "an open reference": b"objective: val/acc\nvalues:\n  model: ['${a']\n",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_sweep_whose_space_cannot_be_read_is_refused_and_stays(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "mine"
    stored(folder, ["model=a,b"], [0.5, 0.75])
    (folder / "sweep.yaml").write_bytes(DAMAGED[damage])
    same = space(["model=a,b"])
    for use in (lambda: StoredSweep.find(str(folder)), lambda: StoredSweep.create(folder, same, "val/acc")):
        with pytest.raises(ConfigError) as refused:
            use()
        assert str(refused.value).splitlines() == [
            f"sweep.name=mine: {folder / 'sweep.yaml'} cannot be read",
            "  accepted: another sweep.name, or the folder moved away",
        ]
    assert (folder / "sweep.yaml").read_bytes() == DAMAGED[damage]


def test_a_score_of_the_test_may_be_infinite(tmp_path: Path) -> None:
    results = [{**WHOLE, "metrics": {"val/acc": 0.5, "test/acc": value}} for value in (math.inf, 0.5)]
    assert "inf ± nan (2)" in leaderboard_text(stored(tmp_path, ["seed=0,1"], results))


def test_a_folder_in_place_of_a_file_of_the_sweep(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b"], [0.5, 0.75])
    (tmp_path / "leaderboard.md").mkdir()
    with pytest.raises(ConfigError, match=r"leaderboard\.md is a folder, but must be a file"):
        write_report(found)
    (tmp_path / "journal.log").mkdir()
    with pytest.raises(ConfigError, match=r"journal\.log cannot be read"):
        Sweep(found, retries=1)


def test_a_value_that_refers_to_another_is_kept_as_it_was_typed(tmp_path: Path) -> None:
    words = ["model=a,b", "+note=${nowhere}", "+n=1,1e-05,null,???"]
    assert stored(tmp_path, words, [None] * 8).space == space(words)


@pytest.mark.parametrize("garbage", [b"garbage\n", b"[1]\n", b'{"op_code":99,"worker_id":"x"}\n', b"\xff\xfe\n"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_journal_that_cannot_be_read_is_an_error_and_stays(tmp_path: Path, garbage: bytes, place: int) -> None:
    file = tmp_path / "journal.log"
    one, _ = stored(tmp_path, ["model=a,b"], [0.5, 0.25]).jobs
    Journal(tmp_path, "val/acc").start(one)
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert(place, garbage)
    file.write_bytes(b"".join(lines))
    with pytest.raises(ConfigError, match=r"journal\.log cannot be read .*\n  accepted: the file moved away"):
        Journal(tmp_path, "val/acc")
    assert file.read_bytes() == b"".join(lines)
