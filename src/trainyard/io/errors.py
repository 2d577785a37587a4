"""The error that a person's own input causes, and how any error is said in a few lines."""

import difflib
from collections.abc import Iterable

from trainyard.terminal.controls import escape_controls

LONGEST = 200  # characters of a value in an error


class ConfigError(ValueError):
    """Something that was typed, composed or pointed at cannot work; the message alone says what to change.

    Raised with one sentence (at most a few lines) that names the key, the value received and what is accepted. Nothing
    is kept of a run that fails with it before training starts.
    """

    def __str__(self) -> str:
        return escape_controls(super().__str__())  # it may quote a file of someone else


class PassThrough(BaseException):
    """Carries an error through Hydra.

    Of an exception in a job Hydra prints a line of its own, and it turns one in a callback into a warning.

    Args:
        error: that is to be raised again outside of Hydra.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def config_error(key: str, value: object, problem: str, accepted: str = "") -> ConfigError:
    """Return the error "key=value: problem", with what is accepted on a second line unless the problem says it."""
    message = f"{key}={shortened(value)}: {problem}"
    return ConfigError(f"{message}\n  accepted: {accepted}" if accepted else message)


def shortened(value: object) -> str:
    """Return a value as text, without the middle of a long one."""
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 4 :]}"


def did_you_mean(word: str, known: Iterable[object], most: int = 3) -> str:
    """Return "; did you mean a or b?" with the known words nearest to `word`, or nothing when none is near."""
    names = {str(name).casefold(): str(name) for name in known}
    near = [names[name] for name in difflib.get_close_matches(word.casefold(), names, n=most, cutoff=0.6)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def join_limited(words: Iterable[object], most: int = 14) -> str:
    """Return the words in order, separated by commas; the rest counted where there are more than `most`."""
    names = [str(word) for word in words]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
