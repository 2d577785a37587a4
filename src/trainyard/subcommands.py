"""Commands with subcommands, each over a composed config: `python scripts/show.py model model=cnn`."""

import argparse
import pkgutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from trainyard import entry
from trainyard.errors import did_you_mean
from trainyard.logs import Screen, attach, close_log, print_anything

# Commands beside training, each a script, with their subcommands.
COMMANDS = {
    "evaluate": (),
    "predict": (),
    "export": (),
    "leaderboard": (),
    "runs": ("list", "diff", "reproduce"),
    "show": ("data", "model", "schedule", "finetune"),
    "find": ("lr", "batch_size"),
    "draw": ("curves", "decision", "layers"),
}


@dataclass(frozen=True)
class Subcommand:
    """One thing that a command does.

    Attributes:
        target: dotted name of what does it, called with the composed config and the options; imported when chosen.
        summary: a line for the help.
        options: whole numbers that it takes as `--name N`, with their help; None where they are not typed.
    """

    target: str
    summary: str
    options: Mapping[str, str] = field(default_factory=dict)


def run(command: str, purpose: str, subcommands: Mapping[str, Subcommand]) -> None:
    """Run the subcommand that was typed, over the overrides behind it; an error ends in a few lines and exit code 1.

    Args:
        command: as it is typed, such as `show.py`.
        purpose: a sentence for the help.
        subcommands: by name.
    """
    with entry.command():
        print_anything()
        chosen, overrides, options = parsed(sys.argv[1:], command, purpose, subcommands)
        from trainyard.cli import short_errors
        from trainyard.config import compose

        with short_errors():
            cfg = compose(overrides)  # what cannot be composed is said before torch is imported
            act = pkgutil.resolve_name(chosen.target)
            with on_screen():  # after Lightning, which sets up a log of its own when it is imported
                act(cfg, **options)


def parsed(
    words: Sequence[str], command: str, purpose: str, subcommands: Mapping[str, Subcommand]
) -> tuple[Subcommand, list[str], dict[str, int | None]]:
    """Return the subcommand, the overrides and the options; exit with 2 where it is none."""
    rows = "".join(f"  {name:<12} {subcommand.summary}\n" for name, subcommand in subcommands.items())
    parser = argparse.ArgumentParser(
        prog=command,
        description=f"{purpose}\n\n{rows}",
        epilog="An OVERRIDE is what train.py takes: model=cnn optimizer.lr=0.01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("what", metavar="|".join(subcommands), nargs="?")
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*")
    for subcommand in subcommands.values():
        for name, text in subcommand.options.items():
            parser.add_argument(f"--{name}", type=int, metavar="N", help=text)
    found = vars(parser.parse_intermixed_args(words))
    what, overrides = found.pop("what"), found.pop("overrides")
    check_subcommand(parser, what or "", subcommands)
    chosen = subcommands[what]
    for name, number in found.items():
        if number is not None and (name not in chosen.options or number < 1):
            parser.error(f"--{name} {number}: {'a number from 1' if name in chosen.options else f'not for {what}'}")
    return chosen, overrides, {name: found[name] for name in chosen.options}


def check_subcommand(parser: argparse.ArgumentParser, name: str, known: Collection[str]) -> None:
    """Exit with 2 where a command has no subcommand of this name."""
    if name not in known:
        problem = f"{name}: there is no such subcommand{did_you_mean(name, known)}" if name else "no subcommand"
        parser.error(f"{problem}\n  accepted: {', '.join(known)}")


@contextmanager
def on_screen() -> Iterator[None]:
    """Show on the screen what is logged; a run has a file too."""
    handlers = [Screen()]
    attach(handlers)
    try:
        yield
    finally:
        close_log(handlers)
