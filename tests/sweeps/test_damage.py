"""Files of a sweep that something has damaged: what cannot be read is told, or made anew, and nothing is lost."""

import json
import math
import os
from pathlib import Path

import pytest

from tests.sweeps.synthetic import completed, space, stored
from trainyard.checkpoint_files import write_checkpoint
from trainyard.errors import ConfigError
from trainyard.runs import Run
from trainyard.sweeps.answer.report import text, write_report
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal
from trainyard.sweeps.space_file import keep
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
    assert [job.number for job in Sweep(sweep, retries=1).left()] == [0]
    assert [row.status for row in sweep.rows] == ["completed", "waiting"]
    assert "waiting" in text(sweep)


@pytest.mark.parametrize("content", ["[]", "null", "3", "", "{"])
def test_a_run_goes_on_from_its_checkpoint_where_its_result_is_no_result(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    assert Run(tmp_path).stopped_at() == tmp_path / "checkpoints" / "last.ckpt"
    assert Job(0, [], tmp_path).look().can_go_on


def test_a_job_with_the_checkpoint_before_the_last_alone_is_resumed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    write_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")
    (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "checkpoints" / "previous.ckpt")
    assert Job(0, [], tmp_path).look().can_go_on
    assert Run(tmp_path).stopped_at() == tmp_path / "checkpoints" / "previous.ckpt"
    (tmp_path / "metrics.csv").mkdir()
    assert not Job(0, [], tmp_path).look().can_go_on, "the run could not write its table"


def test_what_a_killed_sweeper_left_is_removed(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b,c"], [0.5, None, {"status": "failed", "error": "E"}])
    for number in range(4):
        (tmp_path / f".{number}.removed").mkdir()
        (tmp_path / f".{number}.removed" / "run.log").touch()
    stale = [tmp_path / ".sweep.yaml.99999999.draft", tmp_path / "0" / "checkpoints" / "last.ckpt.99999999.draft"]
    for path in stale:
        path.touch()
    sweep = Sweep(found, retries=1)
    assert not any(path.exists() for path in stale)
    assert {path.name for path in tmp_path.glob(".*.removed")} == {".1.removed"}, "its job has not ended yet"
    job = sweep.jobs[1]
    sweep.begin(job)
    assert (tmp_path / ".1.removed" / "run.log").exists()
    job.folder.mkdir()
    (job.folder / "result.json").write_text(json.dumps(WHOLE))
    sweep.finish(job, "")
    assert not (tmp_path / ".1.removed").exists()


@pytest.mark.parametrize("kind", ["a file", "a broken link", "a folder"])
def test_what_lies_in_place_of_a_job_is_kept_until_the_job_has_ended(tmp_path: Path, kind: str) -> None:
    sweep = Sweep(stored(tmp_path, ["model=a,b"], [0.5, None]), retries=1)
    job = sweep.jobs[1]
    {"a file": job.folder.touch, "a folder": job.folder.mkdir, "a broken link": lambda: job.folder.symlink_to("x")}[
        kind
    ]()
    sweep.begin(job)
    assert not os.path.lexists(job.folder)
    assert os.path.lexists(tmp_path / ".1.removed")
    sweep.finish(job, "RuntimeError: no")
    assert not os.path.lexists(tmp_path / ".1.removed")


def test_a_test_score_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b"], [{**WHOLE, "metrics": {"val/acc": 0.5}}, None])
    assert "test/acc" not in text(sweep, test=True)


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
    for use in (lambda: StoredSweep.find(str(folder)), lambda: keep(space(["model=a,b"]), ["val/acc"], folder)):
        with pytest.raises(ConfigError) as refused:
            use()
        assert str(refused.value).splitlines() == [
            f"sweep.name=mine: {folder / 'sweep.yaml'} cannot be read",
            "  accepted: another sweep.name, or the folder moved away",
        ]
    assert (folder / "sweep.yaml").read_bytes() == DAMAGED[damage]


def test_a_space_that_was_cut_anywhere_is_refused_and_an_old_one_that_is_whole_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    found = stored(folder, ["model=a,b", "seed=0,1"], [0.5, 0.75, 0.25, 0.5])
    file = folder / "sweep.yaml"
    whole = file.read_bytes()
    old = whole.partition(b"\n")[2]
    for content in (whole, old):
        for length in range(len(content) - 1):
            file.write_bytes(content[:length])
            with pytest.raises(ConfigError, match="cannot be read"):
                StoredSweep.find(str(folder))
    for content in (whole, old):
        file.write_bytes(content)
        assert StoredSweep.find(str(folder)).space == found.space


def test_a_score_of_the_test_may_be_infinite(tmp_path: Path) -> None:
    results = [{**WHOLE, "metrics": {"val/acc": 0.5, "test/acc": value}} for value in (math.inf, 0.5)]
    assert "inf ± nan (2)" in text(stored(tmp_path, ["seed=0,1"], results))


def test_a_folder_in_place_of_a_file_of_the_sweep(tmp_path: Path) -> None:
    found = stored(tmp_path, ["model=a,b"], [0.5, 0.75])
    (tmp_path / "journal.log").mkdir()
    Sweep(found, retries=1)
    assert (tmp_path / "journal.log.broken").is_dir()
    (tmp_path / "leaderboard.md").mkdir()
    with pytest.raises(ConfigError, match=r"leaderboard\.md is a folder, but must be a file"):
        write_report(found)


def test_a_value_that_refers_to_another_is_kept_as_it_was_typed(tmp_path: Path) -> None:
    words = ["model=a,b", "+note=${nowhere}", "+n=1,1e-05,null,???"]
    assert stored(tmp_path, words, [None] * 8).space == space(words)


GARBAGE = [b"garbage\n", b"[1]\n", b"{}\n", b'{"op_code":99,"worker_id":"x"}\n', b"\xff\xfe\n", b"null\n"]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_journal_that_cannot_be_read_is_kept_and_a_new_one_begun(
    tmp_path: Path, garbage: bytes, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "journal.log"
    one, two = stored(tmp_path, ["model=a,b"], [0.5, 0.25]).jobs
    Journal(tmp_path, ["val/acc"]).begin(one)
    lines = file.read_bytes().splitlines(keepends=True)
    lines.insert({"first": 0, "middle": 1, "last": len(lines)}[place], garbage)
    for kept in ("journal.log.broken", "journal.log.broken.2", "journal.log.broken.3"):
        file.write_bytes(b"".join(lines))
        later = Journal(tmp_path, ["val/acc"])
        later.begin(two)
        later.finish(two)
        again = Journal(tmp_path, ["val/acc"])
        [trial] = again.storage.get_all_trials(again.study)
        assert (trial.user_attrs["job"], trial.values) == (1, [0.25])
        assert (tmp_path / kept).read_bytes() == b"".join(lines)
        assert f"is kept as {kept};" in caplog.messages[-1]
    assert len(caplog.messages) == 3
