"""A pseudo-terminal, and an emulator that computes the screen from the output."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

TOKEN = re.compile(r"\x1b\[(?P<numbers>[?\d;]*)(?P<control>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)
COLOUR = re.compile(r"(?:^|;)(?:3|4|9|10)\d")


class Screen:
    """The screen of a terminal; unknown control sequences are errors.

    Attributes:
        lines: from the top.
        cursor: whether it is visible.
        colours: whether any colour was used.
        drawn: the whole screen, as it stood each time before something was taken away.

    Args:
        columns: where lines wrap.
    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.lines = [""]
        self.row = self.column = 0
        self.cursor, self.colours = True, False
        self.drawn: list[str] = []
        self.changed = False

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip()

    def write(self, text: str) -> None:
        for token in TOKEN.finditer(text):
            if token["text"] is None:
                self.control(token["numbers"], token["control"])
            else:
                self.put(token["text"])

    def control(self, numbers: str, control: str) -> None:
        if control == "m":
            self.colours |= COLOUR.search(numbers) is not None
        elif control == "A":
            self.row -= int(numbers)
        elif control == "K" and numbers == "2":
            if self.changed:
                self.drawn.append(self.text)
            self.changed = False
            self.lines[self.row] = ""
        elif control in "lh" and numbers == "?25":
            self.cursor = control == "h"
        else:
            raise AssertionError(f"ESC [ {numbers}{control} is not known")
        assert self.row >= 0, "above the top"

    def put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
            return
        if character == "\n" or self.column == self.columns:
            self.row, self.column = self.row + 1, 0 if character != "\n" else self.column
            self.lines += [""] * (self.row + 1 - len(self.lines))
        if character != "\n":
            assert character.isprintable(), f"{character!r} is not known"
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1
            self.changed = True


@contextmanager
def on_screen(columns: int = 80, **environment: str) -> Iterator[Screen]:
    """Redirect the output of this process to a pseudo-terminal; the screen is complete at the end.

    Args:
        columns: of the terminal.
        environment: set beside, such as `NO_COLOR`.
    """
    controller, terminal = os.openpty()
    written = bytearray()

    def read() -> None:
        with suppress(OSError):  # the terminal is closed
            while part := os.read(controller, 1 << 16):
                written.extend(part)

    reader = threading.Thread(target=read)
    screen = Screen(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        for name, value in {"COLUMNS": str(columns), "TERM": "xterm-256color", **environment}.items():
            patch.setenv(name, value)
        reader.start()
        with os.fdopen(terminal, "w", encoding="utf-8") as stream:
            patch.setattr(sys, "stdout", stream)
            yield screen
            stream.flush()
            patch.undo()
    reader.join()
    os.close(controller)
    screen.write(written.decode())
