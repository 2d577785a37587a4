"""Suggests the command that was probably meant by words that do not work."""

import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainyard.cli.commands import make_parser
from trainyard.cli.main import COMMANDS
from trainyard.cli.override_correction import RESUME, OverrideCorrector, overrides_of
from trainyard.config.composition import compose, parse_override
from trainyard.terminal.invocation import command, train_command

COMPOSING = ("show", "find")  # commands with a subcommand and overrides
LONGEST = 360  # characters of a suggested command


def suggest_command() -> str:
    """Return the command that was probably meant, quoted for a shell; an empty string if none is known."""
    words = sys.argv[1:]
    name = words[0] if words and Path(sys.argv[0]).name != "train.py" else ""
    composing = name in COMPOSING
    if name in COMMANDS and not composing:
        return ""
    before, overrides = (words[:2], words[2:]) if composing else ([], words)
    try:
        if not composing and (other := other_command(words)):
            text = other
        else:
            fixed = corrected(overrides)
            text = command(*before, *fixed) if composing else train_command(*fixed)
    except Exception:  # the original error is more useful
        return ""
    return text if text.isprintable() and len(text) <= LONGEST else ""


def other_command(words: Sequence[str]) -> str:
    """Return the command for `evalute latest`, `runs lsit` and the like, which begin with the name of a command."""
    if not words or not words[0].isidentifier():
        return ""
    [name, *rest] = words
    near = difflib.get_close_matches(name, [*COMMANDS, "train"], n=1, cutoff=0.7)
    if not near:
        return ""
    if near[0] == "train":
        return train_command(*rest)
    if rest and (known := make_parser().commands[near[0]].commands):
        rest[:1] = difflib.get_close_matches(rest[0], known, n=1) or rest[:1]
    return command(near[0], *rest)


def corrected(words: Sequence[str]) -> list[str]:
    """Return the words as they were probably meant.

    Raises:
        LookupError: nothing is to be corrected.
        Exception: the corrected words do not make a config.
    """
    fixed = OverrideCorrector(words).correct()
    if fixed == list(words):
        raise LookupError("no correction")
    if not any(word.startswith(f"{RESUME}=") for word in fixed):
        compose(list(single_values(fixed)))
    return fixed


def single_values(words: Iterable[str]) -> Iterator[str]:
    """Yield the overrides among words, of each sweep its first value."""
    for word in overrides_of(words):
        override = parse_override(word)
        if override and override.is_sweep_override():
            mark = "".join(re.findall(r"^\++", word))
            yield f"{mark}{override.get_key_element()}={next(override.sweep_string_iterator())}"
        elif not word.startswith("hydra."):
            yield word
