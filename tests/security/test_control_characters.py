"""Names and values of someone else's files control neither a terminal nor a spreadsheet."""

import csv
import io
import json
import logging
import sys
from pathlib import Path

import pytest

from tests.history.recorded import record
from tests.security.tampering import change
from tests.sweeps.synthetic import stored
from trainyard.config.format_error import format_error
from trainyard.history.run_table import print_csv, print_table, select_runs
from trainyard.inference.evaluate import evaluate
from trainyard.inference.predict import column_names
from trainyard.io.csv_text import escape_formula, unescape_formula
from trainyard.io.errors import ConfigError, config_error
from trainyard.run.metrics_csv import read_curves
from trainyard.run.metrics_table import MetricsTable
from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
from trainyard.terminal.controls import escape_controls, unescaped
from trainyard.terminal.logs import close_log, open_log, prepare_output
from trainyard.terminal.tables import markdown_table, table

EVIL = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb\rc\x08"
SEEN = r"a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb\rc\x08"


def is_clean(written: str) -> bool:
    return all(sign.isprintable() or sign == "\n" for sign in written)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (EVIL, SEEN),
        ("plain", "plain"),
        ("Größe 猫 ± \u2588 \U0001f408", "Größe 猫 ± \u2588 \U0001f408"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),  # one sign of two, joined
        ("C:\\x1b", "C:\\x1b"),
        ("a\nb\tc", "a\nb\tc"),
        ("\udc80\u2028\x00\x7f", r"\udc80\u2028\x00\x7f"),
    ],
)
def test_control_characters_are_visible(raw: str, seen: str) -> None:
    assert escape_controls(raw) == seen
    assert "\n" not in escape_controls(raw, keep="")


def test_printed_logged_and_raised_text_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    prepare_output()
    prepare_output()
    print(EVIL)
    handlers = open_log(tmp_path / "run.log")
    try:
        raise ValueError(EVIL)
    except ValueError:
        logging.getLogger("trainyard").exception("%s", EVIL)
    close_log(handlers)
    assert capsys.readouterr().out == f"{SEEN}\n{SEEN}\n"
    assert is_clean((tmp_path / "run.log").read_text())
    assert (tmp_path / "run.log").read_text().count(SEEN) == 2
    assert format_error(config_error("key", EVIL, "problem")) == f"key={SEEN}: problem"
    assert str(ConfigError(EVIL)) == SEEN
    assert is_clean(format_error(RuntimeError(EVIL)))
    unescaped(sys.stdout).write("\x1b")
    assert capsys.readouterr().out == "\x1b", "a display of ours"


def test_malicious_names_are_escaped_in_the_table_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    record(
        tmp_path / "outputs" / "runs" / "one",
        choices={"model": f"{EVIL}\nrun", "data": '=HYPERLINK("x")'},
        overrides=["+model.x=-1.5", EVIL],
        result={"metrics": {"@x": 0.5, "val/acc": -1.5}},
    )
    prepare_output()
    print_table(select_runs([]))
    out = capsys.readouterr().out
    assert is_clean(out)
    assert len(out.splitlines()) == 3
    print_csv(select_runs([]))
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert (row["data"], row["'@x"], row["val/acc"]) == ('\'=HYPERLINK("x")', "0.5", "-1.5")
    assert unescape_formula(row["overrides"]) == f"+model.x=-1.5 {EVIL}"
    assert row["model"] == f"{EVIL}\nrun", "data for another program"


def test_an_evaluation_and_its_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, "data.x\x1b[2J", 1)
    with pytest.raises(ConfigError) as error:
        evaluate(str(run))
    assert is_clean(str(error.value))
    assert markdown_table(["a"], [[EVIL], ["b\nc"]]).splitlines()[2:] == [f"| {SEEN} |".replace(r"\r", " "), "| b c |"]
    assert table(["", ""], [[EVIL, "x"], ["b\nc", "y"]]).splitlines() == [
        f"{SEEN}  x",
        r"b\nc".ljust(len(SEEN)) + "  y",
    ]


def test_a_leaderboard(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = stored(tmp_path / "sweep", [f"+data.x='{EVIL[1:-4]}',-1.5"], [0.1, 0.9])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    prepare_output()
    print(leaderboard_text(sweep))
    assert is_clean(capsys.readouterr().out)
    write_report(sweep)
    assert is_clean((sweep.folder / "leaderboard.md").read_text(encoding="utf-8"))
    head, *rows = csv.reader(io.StringIO((sweep.folder / "leaderboard.csv").read_text(encoding="utf-8"), newline=""))
    assert head[1] == "'+data.x"
    assert rows[0][1] == "-1.5"


CELLS = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "'=x", "''-1", "'-1.5", "'x", "-1.5", "+3e-4", "-inf", "nan", "", "-"]


@pytest.mark.parametrize("content", CELLS)
def test_formulas_are_escaped_and_restored(content: str) -> None:
    written = escape_formula(content)
    assert isinstance(written, str)
    assert not written.startswith(("=", "@", "\t", "\r"))
    assert written[:1] not in "+-" or written == "" or float(written) is not None
    assert unescape_formula(written) == content


def test_numbers_stay_numbers() -> None:
    assert [escape_formula(value) for value in (-1.5, -3, float("-inf"), None, True)] == [
        -1.5,
        -3,
        float("-inf"),
        None,
        True,
    ]
    assert (escape_formula("-1.5"), escape_formula("-inf"), escape_formula("+1e-3")) == ("-1.5", "-inf", "+1e-3")


def test_tables_of_metrics_and_predictions(tmp_path: Path) -> None:
    table = MetricsTable(str(tmp_path))
    table.log_metrics({"=x": -1.5, "'=y": 2.0, "val/acc": 0.5}, step=3)
    table.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0].count("'=") == 2
    assert read_curves(tmp_path) == {"=x": {3: -1.5}, "'=y": {3: 2.0}, "val/acc": {3: 0.5}}
    assert column_names(["=a", "-1", "b"]) == ["input", "prediction", "'=a", "-1", "b"]
    assert json.loads(json.dumps(unescape_formula("'=a"))) == "=a"
