"""The error for invalid input, and helpers that word it."""

import difflib
from collections.abc import Iterable

from trainyard.terminal.controls import escape_controls

MAX_VALUE = 200  # characters of a value in an error


class ConfigError(ValueError):
    """The input is invalid: an override, a config or a file.

    The message is a sentence or a few lines that name the key, the value and what is accepted. A run that fails with it
    before training starts leaves no files.
    """

    def __str__(self) -> str:
        return escape_controls(super().__str__())  # it may quote a file of someone else


class PassThrough(BaseException):
    """Carries an error through Hydra, which would print a line about it or turn it into a warning.

    Args:
        error: to raise again outside of Hydra.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def config_error(key: str, value: object, problem: str, accepted: str = "") -> ConfigError:
    """Return the error "key=value: problem", with the accepted values on a second line unless the problem says them."""
    text = str(value)
    if len(text) > MAX_VALUE:
        text = f"{text[: MAX_VALUE // 2]}...{text[-MAX_VALUE // 4 :]}"
    message = f"{key}={text}: {problem}"
    return ConfigError(f"{message}\n  accepted: {accepted}" if accepted else message)


def did_you_mean(word: str, known: Iterable[object], limit: int = 3) -> str:
    """Return "; did you mean a or b?" with the most similar known words; nothing if none is similar."""
    names = {str(name).casefold(): str(name) for name in known}
    near = [names[name] for name in difflib.get_close_matches(word.casefold(), names, n=limit, cutoff=0.6)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def join_limited(words: Iterable[object], limit: int = 14) -> str:
    """Return the first `limit` words separated by commas, and the number of the others."""
    names = [str(word) for word in words]
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
