"""Suggests a corrected command for arguments that do not work."""

import difflib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trainyard.cli.commands import make_parser
from trainyard.cli.main import COMMANDS
from trainyard.cli.override_correction import RESUME, OverrideCorrector, parse_options
from trainyard.config.composition import compose, parse_override
from trainyard.config.config_folders import split_config_dir
from trainyard.terminal.invocation import command, train_command

COMPOSING = ("show", "find")  # commands with a subcommand and overrides
MAX_LENGTH = 360  # characters of a suggested command


def suggest_command() -> str:
    """Return the corrected command, quoted for a shell; an empty string if no correction is known."""
    args, config_dir = split_config_dir(sys.argv[1:])
    name = args[0] if args and Path(sys.argv[0]).name != "train.py" else ""
    try:
        if name in COMPOSING:
            text = command(*config_dir, *args[:2], *corrected(args[2:]))
        elif name in COMMANDS:
            return ""
        else:
            text = similar_command(args, config_dir) or train_command(*config_dir, *corrected(args))
    except Exception:  # the original error is more useful
        return ""
    return text if text.isprintable() and len(text) <= MAX_LENGTH else ""


def similar_command(args: Sequence[str], config_dir: Sequence[str]) -> str:
    """Return the command for `evalute latest` or `runs lsit`; an empty string for other arguments."""
    if not args or not args[0].isidentifier():
        return ""
    [name, *rest] = args
    near = difflib.get_close_matches(name, [*COMMANDS, "train"], n=1, cutoff=0.7)
    if not near:
        return ""
    if rest and (known := make_parser().commands[near[0]].commands):
        rest[:1] = difflib.get_close_matches(rest[0], known, n=1) or rest[:1]
    return command(*config_dir, near[0], *rest)


def corrected(args: Sequence[str]) -> list[str]:
    """Return the corrected arguments.

    Raises:
        LookupError: there is nothing to correct.
        Exception: the corrected arguments cannot be composed.
    """
    fixed = OverrideCorrector(args).correct()
    if fixed == list(args):
        raise LookupError("no correction")
    if not any(arg.startswith(f"{RESUME}=") for arg in fixed):
        compose(list(first_values(fixed)))
    return fixed


def first_values(args: Iterable[str]) -> Iterator[str]:
    """Yield the overrides among the arguments, with the first value of each that has several."""
    for arg in parse_options(args).overrides:
        override = parse_override(arg)
        if override and override.is_sweep_override():
            prefix = arg[: len(arg) - len(arg.lstrip("+"))]
            yield f"{prefix}{override.get_key_element()}={next(override.sweep_string_iterator())}"
        elif not arg.startswith("hydra."):
            yield arg
