"""The table of all runs: selection, order and columns."""

import csv
import io
from pathlib import Path

import pytest

from tests.history.recorded import record
from trainyard.history.run_table import WIDTH, format_row, print_csv, print_table, select_runs, shorten
from trainyard.io.errors import ConfigError


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs that are completed, the newest of which took longest, one that failed, one that is empty."""
    monkeypatch.chdir(tmp_path)
    for number, score in enumerate((0.7, 0.9, 0.8)):
        started = {"started": f"2026-01-0{number + 1}T00:00:00+00:00"}
        choices = {"model": ("mlp", "cnn", "mlp")[number]}
        record(
            *(Path(f"outputs/runs/run{number}"), score, choices, ["model=mlp", f"seed={number}"]),
            result={"seconds": 10.0 * number},
            provenance=started,
        )
    failed = {"status": "failed", "objective": None, "metrics": None, "error": "E", "epochs": None}
    record(Path("outputs/runs/failed"), result=failed, provenance={"started": "2026-01-09T00:00:00+00:00"})
    Path("outputs/runs/nothing").mkdir()


def names(*conditions: str, **options: object) -> list[str]:
    return [run.name for run in select_runs(conditions, **options)]


def test_the_newest_come_first() -> None:
    assert names() == ["nothing", "failed", "run2", "run1", "run0"]
    assert names(last=2) == ["nothing", "failed"]
    assert names("status=completed", last=2) == ["run2", "run1"]
    assert names(sort="-started") == names()[::-1]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("val/acc", "run1 run2 run0"),
        ("-val/acc", "run0 run2 run1"),
        ("val/loss", "run1 run2 run0"),
        ("-val/loss", "run0 run2 run1"),
        ("best", "run1 run2 run0"),
        ("seconds", "run0 run1 run2"),
        ("-seconds", "run2 run1 run0"),
        ("model", "run1 run2 run0"),
    ],
)
def test_the_best_come_first_and_those_without_a_value_last(sort: str, order: str) -> None:
    assert names("status=completed", sort=sort) == order.split()
    if sort != "model":
        found = names(sort=sort)
        assert [name for name in found if name.startswith("run")] == order.split()
        assert sort.endswith("seconds") or found[3:] == ["nothing", "failed"]


def test_an_unknown_key_to_sort_by_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"KEY=val/ac: .*did you mean val/acc"):
        names(sort="val/ac")


def test_a_row_shows_scores_and_status() -> None:
    found = {run.name: format_row(run) for run in select_runs([])}
    first = found["run1"]
    assert (first["model"], first["data"], first["overrides"], first["status"]) == (
        "cnn",
        "digits",
        "seed=1",
        "completed",
    )
    assert (first["best"], first["epochs"], first["seconds"]) == ("val/acc 0.9000", "2", "10.0")
    assert (found["failed"]["status"], found["failed"]["best"]) == ("failed", "")
    assert (found["nothing"]["status"], found["nothing"]["model"]) == ("broken", "")


def test_shows_aligned_rows_and_counts_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(select_runs(["model=mlp", "status=completed"]))
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["run2", "run0"]
    assert {row.index("completed") for row in rows} == {head.index("status")}
    assert last == "2 runs"
    print_table(select_runs(["model=none"]))
    assert capsys.readouterr().out == "0 runs\n"


def test_long_overrides_are_shortened_to_their_last_keys() -> None:
    short = "seed=1 optimizer.lr=0.1"
    assert shorten(short) == short
    long = "trainer.max_epochs=20 model.hidden_dims=[8] data.root=/a.b/c=d optimizer.lr=0.1"
    assert shorten(long) == "max_epochs=20 hidden_dims=[8] root=/a.b/c=d lr=0.1"
    assert len(shorten("seed=1 " * 30)) == WIDTH


def test_csv_has_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(select_runs([]))
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert len(rows) == 5
    assert rows["run1"]["overrides"] == "model=mlp seed=1"
    assert (float(rows["run1"]["test/acc"]), rows["run1"]["optimizer"], rows["run1"]["epoch"]) == (0.9, "adam", "2")
    assert (rows["failed"]["status"], rows["failed"]["test/acc"]) == ("failed", "")
