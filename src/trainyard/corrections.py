"""Suggests the command that was probably meant by words that do not work."""

import difflib
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainyard.config import compose
from trainyard.quoting import parse
from trainyard.subcommands import COMMANDS
from trainyard.vocabulary import RESUME, Vocabulary, overrides_of

COMPOSING = ("show", "find")  # which take a subcommand and the overrides of train.py
LONGEST = 360  # characters of a suggested command


def correction() -> str:
    """Return the command that was probably meant, quoted for a shell; an empty string if none is known."""
    name, words = Path(sys.argv[0]).stem, sys.argv[1:]
    if name in COMMANDS and name not in COMPOSING:
        return ""
    before = [words.pop(0)] if name in COMPOSING and words else []
    try:
        other = [] if name in COMMANDS else other_command(words)
        fixed = [] if other else composed(Vocabulary(words).correct(), words)
    except Exception:  # the original error is more useful
        return ""
    if not (other or fixed):
        return ""
    text = shlex.join(other) if other else f"{program()} {shlex.join([*before, *fixed])}"
    return text if text.isprintable() and len(text) <= LONGEST else ""


def program() -> str:
    """Return how this program was started."""
    path = Path(sys.argv[0])
    if path.parts[-2:] == ("trainyard", "__main__.py"):
        return "python -m trainyard"
    if path.stem in COMPOSING:
        return f"python scripts/{path.name}"
    return path.name if path.name == "trainyard" else "python train.py"


def other_command(words: Sequence[str]) -> list[str]:
    """Return the command for `evaluate latest`, `runs lsit` and the like, which begin with another command's name."""
    if not words or not words[0].isidentifier():
        return []
    [name, *rest] = words
    near = difflib.get_close_matches(name, [*COMMANDS, "train"], n=1, cutoff=0.7)
    if not near or near[0] == "train":
        return ["python", "train.py", *rest] if near else []
    known = COMMANDS[near[0]]
    if rest and known:
        rest[:1] = difflib.get_close_matches(rest[0], known, n=1) or rest[:1]
    return ["python", f"scripts/{near[0]}.py", *rest]


def composed(fixed: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return corrected words if they differ from those that were typed and make a config; else none."""
    if list(fixed) == list(words):
        return []
    if not any(word.startswith(f"{RESUME}=") for word in fixed):
        compose(list(single_values(fixed)))
    return list(fixed)


def single_values(words: Iterable[str]) -> Iterator[str]:
    """Yield the overrides among words, of each sweep its first value."""
    for word in overrides_of(words):
        override = parse(word)
        if override and override.is_sweep_override():
            mark = "".join(re.findall(r"^\++", word))
            yield f"{mark}{override.get_key_element()}={next(override.sweep_string_iterator())}"
        elif not word.startswith("hydra."):
            yield word
