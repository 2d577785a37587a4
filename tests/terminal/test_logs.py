"""The log file, and output that a terminal cannot encode."""

import io
import logging
import sys
from pathlib import Path

import pytest

from trainyard.terminal.logs import close_log, open_log, prepare_output


def test_characters_that_cannot_be_encoded_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    prepare_output()
    print("0.5 ± 0.1", flush=True)
    assert shown.getvalue() == b"0.5 ? 0.1\n"


def test_run_log_has_dates_and_the_screen_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handlers = open_log(tmp_path / "run.log")
    logging.getLogger("trainyard.test").info("hello")
    logging.getLogger("lightning.pytorch").info("GPU available: False")
    close_log(handlers)
    logging.getLogger("trainyard.test").info("after the end")
    assert capsys.readouterr().out == "hello\n"
    log = (tmp_path / "run.log").read_text()
    assert log.endswith("INFO    trainyard.test: hello\n")
    assert log.startswith("20")
    assert "GPU" not in log
