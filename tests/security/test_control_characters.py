"""Names and values in untrusted files cannot control a terminal or a spreadsheet."""

import csv
import io
import json
import logging
import sys
from pathlib import Path

import pytest

from tests.history.recorded import record
from tests.security.tampering import set_config
from tests.sweeps.synthetic import stored
from trainyard.config.format_error import format_error
from trainyard.data.loading.target import Classes
from trainyard.history.run_table import print_csv, print_table, select_runs
from trainyard.inference.evaluate import evaluate
from trainyard.inference.predictions_csv import column_names
from trainyard.io.csv_text import escape_formula, unescape_formula
from trainyard.io.errors import ConfigError, config_error
from trainyard.run.metrics_csv import read_curves
from trainyard.run.metrics_table import MetricsTable
from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
from trainyard.terminal.controls import escape_controls, unescaped
from trainyard.terminal.logs import close_log, open_log, prepare_output
from trainyard.terminal.tables import markdown_table, table

MALICIOUS = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb\rc\x08"
ESCAPED = r"a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb\rc\x08"


def is_printable(written: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in written)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MALICIOUS, ESCAPED),
        ("plain", "plain"),
        ("Größe 猫 ± \u2588 \U0001f408", "Größe 猫 ± \u2588 \U0001f408"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),  # two joined into one
        ("C:\\x1b", "C:\\x1b"),
        ("a\nb\tc", "a\nb\tc"),
        ("\udc80\u2028\x00\x7f", r"\udc80\u2028\x00\x7f"),
    ],
)
def test_control_characters_are_visible(text: str, expected: str) -> None:
    assert escape_controls(text) == expected
    assert "\n" not in escape_controls(text, keep="")


def test_printed_logged_and_raised_text_is_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    prepare_output()
    prepare_output()
    print(MALICIOUS)
    handlers = open_log(tmp_path / "run.log")
    try:
        raise ValueError(MALICIOUS)
    except ValueError:
        logging.getLogger("trainyard").exception("%s", MALICIOUS)
    close_log(handlers)
    assert capsys.readouterr().out == f"{ESCAPED}\n{ESCAPED}\n"
    assert is_printable((tmp_path / "run.log").read_text())
    assert (tmp_path / "run.log").read_text().count(ESCAPED) == 2
    assert format_error(config_error("key", MALICIOUS, "problem")) == f"key={ESCAPED}: problem"
    assert str(ConfigError(MALICIOUS)) == ESCAPED
    assert is_printable(format_error(RuntimeError(MALICIOUS)))
    unescaped(sys.stdout).write("\x1b")
    assert capsys.readouterr().out == "\x1b", "progress bars are not escaped"


def test_malicious_names_are_escaped_in_the_table_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    record(
        tmp_path / "outputs" / "runs" / "one",
        choices={"model": f"{MALICIOUS}\nrun", "data": '=HYPERLINK("x")'},
        overrides=["+model.x=-1.5", MALICIOUS],
        result={"metrics": {"@x": 0.5, "val/acc": -1.5}},
    )
    prepare_output()
    print_table(select_runs([]))
    out = capsys.readouterr().out
    assert is_printable(out)
    assert len(out.splitlines()) == 3
    print_csv(select_runs([]))
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert (row["data"], row["'@x"], row["val/acc"]) == ('\'=HYPERLINK("x")', "0.5", "-1.5")
    assert unescape_formula(row["overrides"]) == f"+model.x=-1.5 {MALICIOUS}"
    assert row["model"] == f"{MALICIOUS}\nrun", "CSV contains the raw name"


def test_malicious_keys_are_escaped_in_errors_and_tables(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_config(run, "data.x\x1b[2J", 1)
    with pytest.raises(ConfigError) as error:
        evaluate(str(run))
    assert is_printable(str(error.value))
    assert markdown_table(["a"], [[MALICIOUS], ["b\nc"]]).splitlines()[2:] == [
        f"| {ESCAPED} |".replace(r"\r", " "),
        "| b c |",
    ]
    assert table(["", ""], [[MALICIOUS, "x"], ["b\nc", "y"]]).splitlines() == [
        f"{ESCAPED}  x",
        r"b\nc".ljust(len(ESCAPED)) + "  y",
    ]


def test_malicious_values_are_escaped_in_a_leaderboard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = stored(tmp_path / "sweep", [f"+data.x='{MALICIOUS[1:-4]}',-1.5"], [0.1, 0.9])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    prepare_output()
    print(leaderboard_text(sweep))
    assert is_printable(capsys.readouterr().out)
    write_report(sweep)
    assert is_printable((sweep.folder / "leaderboard.md").read_text(encoding="utf-8"))
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


def test_numbers_are_not_escaped() -> None:
    assert [escape_formula(value) for value in (-1.5, -3, float("-inf"), None, True)] == [
        -1.5,
        -3,
        float("-inf"),
        None,
        True,
    ]
    assert (escape_formula("-1.5"), escape_formula("-inf"), escape_formula("+1e-3")) == ("-1.5", "-inf", "+1e-3")


def test_formulas_are_escaped_in_tables_of_metrics_and_predictions(tmp_path: Path) -> None:
    table = MetricsTable(str(tmp_path))
    table.log_metrics({"=x": -1.5, "'=y": 2.0, "val/acc": 0.5}, step=3)
    table.save()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0].count("'=") == 2
    assert read_curves(tmp_path) == {"=x": {3: -1.5}, "'=y": {3: 2.0}, "val/acc": {3: 0.5}}
    assert column_names(Classes(("=a", "-1", "b"))) == ["input", "prediction", "'=a", "-1", "b"]
    assert json.loads(json.dumps(unescape_formula("'=a"))) == "=a"
