"""Argument parsers: nested commands with short errors and corrections for typing errors, and Hydra's options."""

import argparse
import difflib
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NoReturn

from trainyard.io.errors import did_you_mean
from trainyard.terminal.invocation import train_command

WIDTH = 80  # columns of a help text at most
Run = Callable[[argparse.Namespace], int | None]
HYDRA_FLAGS = (
    "--help -h",
    "--hydra-help",
    "--version",
    "--resolve",
    "--run -r",
    "--multirun -m",
    "--shell-completion -sc",
)
HYDRA_OPTIONS = ("--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd", "--experimental-rerun")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Formats help texts for 80 columns or a narrower terminal; line breaks in descriptions are kept."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns))


class Parser(argparse.ArgumentParser):
    """Parses a command, or chooses one of its subcommands.

    Args:
        prog: the command, for help and errors.
        settings: other arguments of `argparse.ArgumentParser`.

    Attributes:
        commands: the subcommands by name.
        run: the function that runs the command; `None` if it only has subcommands.
        options: the names of its options.
        taking_values: the names of options that take one value.
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

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an argument and remember it, for errors and for completion."""
        action = super().add_argument(*names, **settings)
        if hasattr(self, "options"):  # the base class adds --help before there are any
            self.remember(action)
        return action

    def remember(self, action: argparse.Action) -> None:
        """Remember an argument, as `add_argument` does; for those of a mutually exclusive group."""
        self.options += action.option_strings
        self.taking_values += action.option_strings if action.nargs is None else []
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
        if run is not None:
            add_config_dir(parser)
        self.commands[name] = parser
        return parser

    def parse(self, args: Sequence[str]) -> tuple[Run, argparse.Namespace]:
        """Return the function that runs a command, and its arguments; exit with 2 if they are invalid."""
        if self.run is not None:
            return self.run, self.parse_intermixed_args(self.join_values(args))
        if not args:
            self.error("a command is required", self.commands)
        if args[0].startswith("-"):
            self.parse_args(args)  # which exits
        if args[0] not in self.commands:
            self.error(f"unknown command {args[0]}{did_you_mean(args[0], self.commands)}", self.commands)
        return self.commands[args[0]].parse(args[1:])

    def join_values(self, args: Sequence[str]) -> list[str]:
        """Return the arguments, with `--sort -KEY` as `--sort=-KEY`: argparse would take `-KEY` for an option."""
        joined: list[str] = []
        for arg in args:
            if joined and joined[-1] in self.taking_values and arg.startswith("-") and arg not in self.options:
                joined[-1] += f"={arg}"
            else:
                joined.append(arg)
        return joined

    def error(self, message: str, accepted: Iterable[str] = ()) -> NoReturn:
        """Exit with 2 after a message and what is accepted."""
        names = [arg.partition("=")[0] for arg in sys.argv[1:] if arg.startswith("--")]
        for name in names:
            if name not in self.options and (near := difflib.get_close_matches(name, self.options, 1, 0.7)):
                message = f"unknown option {name}; did you mean {near[0]}?"
                break
        lines = [f"{self.prog}: {message}", *([f"  accepted: {', '.join(accepted)}"] if accepted else [])]
        print(*lines, f"  help: {self.prog} --help", sep="\n", file=sys.stderr)
        sys.exit(2)


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--config-dir`, for help and completion; the option is read before the command (see `cli.error_reports`)."""
    text = "folder of your own configs, before or after the command"
    parser.add_argument("--config-dir", metavar="FOLDER", default=argparse.SUPPRESS, help=text)


def hydra_parser() -> Parser:
    """Return a parser of Hydra's own options; Hydra's is private (see tests/cli/test_suggestions.py)."""
    parser = Parser(train_command(), "", add_help=False)
    parser.add_argument("overrides", nargs="*")
    for names in HYDRA_FLAGS:
        parser.add_argument(*names.split(), action="store_true")
    for names in HYDRA_OPTIONS:
        parser.add_argument(*names.split())
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    info = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=info)
    return parser


def options_first(args: Iterable[str]) -> list[str]:
    """Return the arguments with Hydra's options before the overrides: Hydra rejects `model=cnn -m seed=0,1`."""
    taking_values = hydra_parser().taking_values
    options: list[str] = []
    overrides: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        (options if arg.startswith("-") else overrides).append(arg)
        if arg in taking_values:
            options.extend(islice(remaining, 1))
    return options + overrides


def positive(text: str) -> int:
    """Return a whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)
