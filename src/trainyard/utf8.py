"""Whether the files of a run can hold what is typed: YAML, JSON and the log are UTF-8."""

import os
import re
from collections.abc import Iterable

from trainyard.errors import reject

MOST_DIGITS = 4300  # of an integer that Python converts to text or from it


def check_words(words: Iterable[str]) -> None:
    """Raise a ConfigError for the first word, or for a working folder, that the files of a run cannot hold.

    On Linux a name is any bytes; those that are not UTF-8 reach Python as halves of characters. Interpolations in the
    path of the working folder would be resolved, and the run would lie elsewhere.
    """
    folder = os.getcwd()  # noqa: PTH109  # a Path says the same, and this costs no import
    for word in words:
        key, is_override, value = word.partition("=")
        if not is_text(word):
            raise reject(*(key, shown(value)) if is_override else ("typed", shown(word)), "not UTF-8", "UTF-8 text")
    if not is_text(folder):
        raise reject("working folder", shown(folder), "its path is not UTF-8", "a folder whose path is")
    if "${" in folder:
        raise reject("working folder", folder, "${...} in a path is replaced", "a folder without it in its path")


def check_digits(words: Iterable[str]) -> None:
    """Raise a ConfigError for a word with a number of more digits than Python converts."""
    for word in words:
        if digits := re.search(rf"\d{{{MOST_DIGITS + 1},}}", word):
            key = word.partition("=")[0] if "=" in word else "typed"
            raise reject(key, digits[0], f"a number of {len(digits[0])} digits", f"at most {MOST_DIGITS} digits")


def is_text(word: str) -> bool:
    """Whether UTF-8 can hold a word."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(word: str) -> str:
    r"""Return a word with its bytes that are no text as `\xff`."""
    return os.fsencode(word).decode(errors="backslashreplace")
