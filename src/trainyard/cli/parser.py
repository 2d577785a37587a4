"""An argument parser with nested commands, short errors and corrections for typing errors."""

import argparse
import difflib
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from trainyard.io.errors import did_you_mean

WIDTH = 80  # columns of a help text at most
Run = Callable[[argparse.Namespace], int | None]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats help texts for 80 columns or a narrower terminal; line breaks in descriptions are kept."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns))


class Parser(argparse.ArgumentParser):
    """Parses a command, or chooses one of its subcommands.

    Args:
        prog: the command, for help and errors.
        description: what the command does.
        epilog: text below the help.
        settings: other arguments of `argparse.ArgumentParser`.

    Attributes:
        commands: the subcommands by name.
        run: the function that runs the command; `None` if it only has subcommands.
        options: the names of its options.
        taking_values: those that take a value.
        positionals: its other arguments.
    """

    def __init__(self, prog: str, description: str, epilog: str | None = None, **settings: Any) -> None:
        settings |= {"formatter_class": HelpFormatter, "allow_abbrev": False}
        super().__init__(prog, description=description, epilog=epilog, **settings)
        self.commands: dict[str, Parser] = {}
        self.run: Run | None = None
        self.options: list[str] = ["--help"]
        self.taking_values: list[str] = []
        self.positionals: list[argparse.Action] = []
        self.words: Sequence[str] = ()

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument and remember it, for errors and for completion."""
        action = super().add_argument(*names, **settings)
        if hasattr(self, "options"):  # the base class adds --help before there are any
            self.remember(action)
        return action

    def remember(self, action: argparse.Action) -> None:
        """Remember an argument, as `add_argument` does; for those of a mutually exclusive group."""
        self.options += action.option_strings
        self.taking_values += action.option_strings if action.nargs != 0 else []
        self.positionals += [] if action.option_strings else [action]

    def add_command(self, name: str, summary: str, run: Run | None = None, epilog: str | None = None) -> "Parser":
        """Add a subcommand and return its parser."""
        if not self.commands:
            self.subparsers = self.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
        prog = f"{self.prog} {name}"
        epilog = textwrap.fill(epilog, WIDTH) if epilog and "\n" not in epilog else epilog
        parser: Parser = self.subparsers.add_parser(
            name, prog=prog, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=epilog
        )
        parser.run = run
        self.commands[name] = parser
        return parser

    def parse(self, words: Sequence[str]) -> tuple[Run, argparse.Namespace]:
        """Return the function of the command that words name, and its arguments; exit with 2 if they are not valid."""
        if self.run is not None:
            self.words = list(self.with_values(words))
            return self.run, self.parse_intermixed_args(self.words)
        if not words:
            self.error("a command is required", self.commands)
        if words[0].startswith("-"):
            self.parse_args(words)  # which exits
        if words[0] not in self.commands:
            self.error(f"unknown command {words[0]}{did_you_mean(words[0], self.commands)}", self.commands)
        return self.commands[words[0]].parse(words[1:])

    def with_values(self, words: Sequence[str]) -> Iterator[str]:
        """Yield the words, joining `--sort -KEY` to `--sort=-KEY`: argparse would take `-KEY` for an option."""
        rest = iter(words)
        for word in rest:
            value = next(rest, None) if word in self.taking_values else None
            if value is not None and value.startswith("-") and value not in self.options:
                yield f"{word}={value}"
            else:
                yield from (word, *([] if value is None else [value]))

    def error(self, message: str, accepted: Sequence[str] | dict[str, Any] = ()) -> NoReturn:
        """Exit with 2 after a message and what is accepted."""
        unknown = [word for word in self.words if word.startswith("--") and word.partition("=")[0] not in self.options]
        names = [word.partition("=")[0] for word in unknown]
        if near := [match for name in names for match in difflib.get_close_matches(name, self.options, 1, 0.7)]:
            message = f"unknown option {names[0]}; did you mean {near[0]}?"
        lines = [f"{self.prog}: {message}", *([f"  accepted: {', '.join(accepted)}"] if accepted else [])]
        print(*lines, f"  help: {self.prog} --help", sep="\n", file=sys.stderr)
        sys.exit(2)


def positive(text: str) -> int:
    """Return a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)
