"""Escapes characters that control a terminal, in names, values and messages that come from files."""

import unicodedata
from typing import Any, TextIO

UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
SAFE = "\n\t"  # in a text of several lines


def escape_controls(text: str, keep: str = SAFE) -> str:
    r"""Return a text with visible control characters, such as `\x1b` for escape.

    These are the Unicode categories Cc (control), Cf (format, such as right-to-left overrides), Cs, Zl and Zp, except
    for characters that join letters in some scripts and emoji.

    Args:
        text: the text.
        keep: control characters that are not escaped.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode("ascii") if is_control(sign) and sign not in keep else sign
        for sign in text
    )


def is_control(sign: str) -> bool:
    """Whether a character is invisible and changes how others are shown."""
    return not sign.isprintable() and sign not in "\u200c\u200d" and unicodedata.category(sign) in UNSAFE


class EscapedStream:
    """A stream whose `write` escapes control characters; all other attributes are those of the stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text with visible control characters."""
        return self.stream.write(escape_controls(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def unescaped(stream: TextIO) -> TextIO:
    """Return the stream inside an `EscapedStream`: for our own displays, and for data in a pipe."""
    return stream.stream if isinstance(stream, EscapedStream) else stream
