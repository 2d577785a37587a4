"""CSV as Trainyard writes it, with text quoted so that a spreadsheet does not evaluate it as a formula."""

import csv
import re
from typing import Any, TextIO

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters of a formula
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def escape_formula(content: object) -> object:
    """Return the content of a cell, with an apostrophe before text that might be a formula; numbers are unchanged."""
    if not isinstance(content, str):
        return content
    bare = content.lstrip("'")
    is_number = bare == content and NUMBER.fullmatch(content)
    return f"'{content}" if bare.startswith(FORMULA) and not is_number else content


def unescape_formula(text: str) -> str:
    """Return the original text of a cell that `escape_formula` wrote."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(FORMULA) else text


def csv_writer(stream: TextIO) -> Any:
    """Return a writer of the `csv` module: commas, minimal quotes, lines that end with a line feed."""
    return csv.writer(LineFeedStream(stream))


class LineFeedStream:
    """Ends rows with a line feed alone; with `lineterminator="\\n"`, `csv` would not quote a carriage return."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, row: str) -> int:
        """Write a row that ends with CR LF."""
        return self.stream.write(f"{row[:-2]}\n")
