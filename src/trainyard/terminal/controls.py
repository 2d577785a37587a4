"""Escapes characters that control a terminal, in names, values and messages that come from files."""

import unicodedata
from typing import Any, TextIO

UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories; Cf contains right-to-left overrides
JOINERS = "\u200c\u200d"  # join letters in some scripts, and emoji


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Return a string in which control characters are visible, such as `\x1b` for escape; those in `keep` stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii") if is_control(char) and char not in keep else char
        for char in text
    )


def is_control(char: str) -> bool:
    """Return whether a character is invisible and changes how others are displayed."""
    return not char.isprintable() and char not in JOINERS and unicodedata.category(char) in UNSAFE


class EscapedStream:
    """A stream whose `write` escapes control characters; all other attributes are those of the stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a string, with its control characters escaped."""
        return self.stream.write(escape_controls(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def unescaped(stream: TextIO) -> TextIO:
    """Return the stream inside an `EscapedStream`: for progress bars, and for data in a pipe."""
    return stream.stream if isinstance(stream, EscapedStream) else stream
