"""Texts in CSV files: a spreadsheet must not take one for a formula."""

import re
from typing import TextIO

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how one may begin
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def cell(content: object) -> object:
    """Return the content of a cell: a text with an apostrophe before it where it might be a formula.

    Numbers, also those written as text such as `-1.5`, stay as they are. `restored` is the inverse.
    """
    if not isinstance(content, str):
        return content
    bare = content.lstrip("'")
    is_number = bare == content and NUMBER.fullmatch(content)
    return f"'{content}" if bare.startswith(FORMULA) and not is_number else content


def restored(text: str) -> str:
    """Return the text from which `cell` made this one."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


class UnixLines:
    """Ends rows by a line feed alone. `csv` itself would then no longer quote the other half of its own line end."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, row: str) -> int:
        """Write a row that ends with CR LF."""
        return self.stream.write(f"{row[:-2]}\n")
