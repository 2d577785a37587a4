"""Completion of commands, options, runs and overrides in a shell, with argcomplete."""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import argcomplete
from argcomplete.shell_integration import shellcode

from trainyard.cli.commands import make_parser
from trainyard.cli.override_correction import OverrideCorrector
from trainyard.cli.parser import Parser, add_config_dir
from trainyard.config.config_folders import config_folders, search_first, split_config_dir
from trainyard.io.errors import ConfigError


def shell_code(shell: str) -> str:
    """Return the code that adds completion to a shell (bash, zsh or fish)."""
    code: str = shellcode(["trainyard"], shell=shell)
    return code


def complete() -> None:
    """Answer the request for completions that the shell has put into the environment, and exit."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    args, config_dir = split_config_dir(map(os.path.expanduser, line.split()))
    folders: list[Path] = []
    with suppress(ConfigError):  # its name is incomplete
        folders = config_folders(config_dir)
    with search_first(folders):
        complete_line(args, not line.endswith(" "))


def complete_line(args: Sequence[str], is_incomplete: bool) -> None:
    """Complete the last of the arguments, of which the first is the program, if it is incomplete, else the next one."""
    commands = make_parser()
    add_completers(commands)
    typing_first = len(args) < 2 or (len(args) == 2 and is_incomplete)
    if typing_first:
        complete_with(commands.subparsers, lambda prefix: [*commands.commands, *overrides(prefix)])
    parser: argparse.ArgumentParser = commands
    if not typing_first and args[1] not in commands.commands:
        parser = argparse.ArgumentParser()
        add_config_dir(parser)
        complete_with(parser.add_argument("overrides", nargs="*"), overrides)
    argcomplete.autocomplete(parser, always_complete_options="long" if parser is commands else False)


def add_completers(parser: Parser) -> None:
    """Set the completers of a parser and of its subcommands, by the names of their arguments."""
    completers = {"overrides": overrides, "run": runs, "a": runs, "b": runs, "names": runs, "sweep": sweeps}
    for action in parser.positionals:
        if action.dest in completers:
            complete_with(action, completers[action.dest])
    for command in parser.commands.values():
        add_completers(command)


def complete_with(action: Any, completer: Callable[[str], Iterable[str]]) -> None:
    """Set the completer of an argument, where argcomplete looks for it."""
    action.completer = lambda prefix, **_: completer(prefix)


def overrides(prefix: str) -> list[str]:
    """Return the overrides that begin with a prefix: `GROUP=` and `KEY=`, or `GROUP=OPTION` behind the `=`."""
    known = OverrideCorrector([])
    group, is_override, _ = prefix.partition("=")
    if is_override:
        return [f"{group}={option}" for option in known.groups.get(group, ())]
    return [f"{name}=" for name in (*known.groups, *known.keys)]


def runs(prefix: str = "") -> list[str]:
    """Return the names of runs and of the best runs of sweeps in the current folder."""
    return ["latest", *names_in("runs"), *(f"best:{name}" for name in names_in("sweeps"))]


def sweeps(prefix: str = "") -> list[str]:
    """Return the names of sweeps in the current folder."""
    return names_in("sweeps")


def names_in(kind: str) -> list[str]:
    """Return the names of the folders in `outputs/KIND`."""
    folder = Path("outputs", kind)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
