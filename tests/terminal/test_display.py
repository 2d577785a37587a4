"""Lines at the bottom of a terminal."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.terminal.pseudo_terminal import on_screen
from trainyard.terminal import display as module
from trainyard.terminal.display import Display, progress_counter


def test_a_progress_counter_is_shown_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REDRAW_EVERY", 0.0)
    with on_screen(60) as screen, progress_counter("reading images", 4000, "images") as add:
        for _ in range(4):
            add(1000)
    pictures = dict.fromkeys(screen.drawn)  # the last is drawn again before it is removed
    assert [picture.split()[-4:] for picture in pictures] == [
        [f"{n},000", "of", "4,000", "images"] for n in range(1, 5)
    ]
    widths = {len(picture) for picture in screen.drawn}
    assert widths == {59}
    assert screen.text == ""
    assert screen.cursor


def test_redraws_are_limited_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    with on_screen() as screen, progress_counter("reading images", 10**5, "images") as add:
        for _ in range(1000):
            now += 2**-10
            add(1)
    assert len(set(screen.drawn)) == 4, "every 0.2 s of one second"


@pytest.mark.parametrize("kind", ["piped", "dumb"])
def test_nothing_is_drawn_without_a_terminal(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "piped":
        monkeypatch.setenv("FORCE_COLOR", "1")
        assert not sys.stdout.isatty()
        assert Display().due == float("inf")
    else:
        with on_screen(TERM="dumb"):
            assert Display().due == float("inf")


def test_the_terminal_is_restored_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    monkeypatch.setattr("atexit.unregister", at_exit.remove)
    with on_screen() as screen:
        display = Display()
        display.draw("a line")
        display.draw("another")
        [end] = at_exit
        end()
    assert screen.drawn[:2] == ["a line", "another"]
    assert screen.text == ""
    assert screen.cursor
    assert at_exit == []


def test_the_terminal_is_restored_after_an_error() -> None:
    with on_screen() as screen, pytest.raises(OSError, match="full"), progress_counter("x", 2, "y"):
        raise OSError("full")
    assert screen.text == ""
    assert screen.cursor
