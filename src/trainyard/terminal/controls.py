"""Escapes characters that control a terminal, in names, values and messages that come from files."""

import unicodedata
from typing import Any, TextIO

UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")
HARMLESS = "\n\t"  # in a text of several lines


def escape_controls(text: str, keep: str = HARMLESS) -> str:
    r"""Return a text whose control characters are visible, such as `\x1b` for escape.

    These are the categories Cc (control), Cf (format, such as right-to-left overrides), Cs, Zl and Zp of Unicode, but
    for those that join letters in some scripts and emoji.

    Args:
        text: any.
        keep: control characters that stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in keep or not controls(sign) else visible(sign) for sign in text)


def controls(sign: str) -> bool:
    """Whether a character is invisible and changes how others are shown."""
    return not sign.isprintable() and sign not in "\u200c\u200d" and unicodedata.category(sign) in UNSAFE


def visible(sign: str) -> str:
    r"""Return a character as Python writes it in a string, such as `\x1b` or `\u202e`."""
    return sign.encode("unicode_escape").decode("ascii")


class EscapedStream:
    """A stream whose `write` escapes control characters; all else is the stream's own.

    Args:
        stream: to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text with its control characters visible."""
        return self.stream.write(escape_controls(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def unescaped(stream: TextIO) -> TextIO:
    """Return the stream below an `EscapedStream`: for our own displays, and for data in a pipe."""
    return stream.stream if isinstance(stream, EscapedStream) else stream
