"""Reports errors of a command in a few lines, and checks its arguments before a library reads them."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from trainyard.cli.suggestions import suggest_command
from trainyard.config.composition import parse_value
from trainyard.config.config_folders import check_config_folder, config_folders, search_first, split_config_dir
from trainyard.config.format_error import RUN, format_error, raised_in
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.signals import received
from trainyard.terminal.streams import lost

FULL_ERROR = "HYDRA_FULL_ERROR"
MAX_DIGITS = 4300  # of an integer that Python converts from text
LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error in a few lines and exit with 1; with HYDRA_FULL_ERROR=1, let it through with its traceback.

    Hydra prints errors itself, at length, and exits; only when it is asked for full errors it lets them through. The
    folder of `--config-dir` is searched inside, and for the suggestion.
    """
    with ExitStack() as stack:
        if os.environ.get(FULL_ERROR) == "1":
            enter_config_dir(stack)
            yield
            return
        os.environ[FULL_ERROR] = "1"
        stack.callback(os.environ.pop, FULL_ERROR)
        with print_error():
            check_input(sys.argv[1:])
            enter_config_dir(stack)
            check_search_path(sys.argv[1:])
            yield


def enter_config_dir(stack: ExitStack) -> None:
    """Search the folder of `--config-dir` from now on; raise a ConfigError if it does not exist."""
    _, options = split_config_dir(sys.argv[1:])
    stack.enter_context(search_first(config_folders(options)))


@contextmanager
def print_error() -> Iterator[None]:
    """Print an error in a few lines with the corrected command, and exit."""
    try:
        yield
    except KeyboardInterrupt:  # before training, which handles it
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if received or lost:  # cli.process sets the exit code
            raise
        print(format_error(error), *suggestion(error), sep="\n", file=sys.stderr)
        sys.exit(1)


def suggestion(error: BaseException) -> list[str]:
    """Return a line with the corrected command, if an error is about the arguments and a correction is known."""
    about_arguments = isinstance(error, ConfigError) or not raised_in(error, RUN)
    command = suggest_command() if about_arguments else ""
    return [f"  try: {command}"] if command else []


def check_input(args: Iterable[str]) -> None:
    """Raise a ConfigError for a number that Python cannot convert, in an argument or in a variable of a launcher."""
    for arg in args:
        if digits := re.search(rf"\d{{{MAX_DIGITS + 1},}}", arg):
            key = arg.partition("=")[0] if "=" in arg else "argument"
            raise config_error(key, digits[0], f"a number of {len(digits[0])} digits", f"at most {MAX_DIGITS} digits")
    for name in LAUNCHER_VARIABLES:
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise config_error(name, value, "not a whole number", f"what the launcher sets, or `unset {name}`")


def check_search_path(args: Iterable[str]) -> None:
    """Raise a ConfigError for a folder in `hydra.searchpath=[FOLDER]` that does not exist; Hydra would only warn."""
    for arg in args:
        key, _, text = arg.partition("=")
        if key != "hydra.searchpath":
            continue
        folders = parse_value(text)
        if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
            raise config_error(key, text, "must be a list of folders", f"{key}=[FOLDER]")
        for folder in folders:
            if "://" not in folder and "${" not in folder:
                check_config_folder(folder, key)


def check_text(args: Iterable[str]) -> None:
    r"""Raise a ConfigError for an argument or a working folder that `config.yaml` cannot contain.

    File names on Linux are bytes. Python reads bytes that are not UTF-8 as surrogates; they are shown as `\xff`.
    OmegaConf would resolve an interpolation in the path of the working folder.
    """
    folder = str(Path.cwd())
    named = [("working folder", folder), *((key, value) for key, _, value in (arg.partition("=") for arg in args))]
    for key, value in named:
        if any("\ud800" <= character <= "\udfff" for character in key + value):
            key, value = (os.fsencode(text).decode(errors="backslashreplace") for text in (key, value))
            raise config_error(key if value else "argument", value or key, "not UTF-8", "UTF-8 text")
    if "${" in folder:
        raise config_error("working folder", folder, "${...} in a path is replaced", "a folder without it in its path")
