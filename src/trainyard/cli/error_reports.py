"""Reports an error of a command in a few lines."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trainyard.cli.input_checks import check_input
from trainyard.cli.suggestions import suggest_command
from trainyard.config.format_error import format_error, raised_in_run
from trainyard.io.errors import ConfigError
from trainyard.io.signals import received
from trainyard.terminal.streams import lost

FULL_ERROR = "HYDRA_FULL_ERROR"


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error in a few lines and exit with 1; with HYDRA_FULL_ERROR=1, let it through with its traceback.

    Hydra prints errors itself, at length, and exits; only when it is asked for full errors it lets them through.
    """
    if os.environ.get(FULL_ERROR) == "1":
        yield
        return
    os.environ[FULL_ERROR] = "1"
    try:
        check_input(sys.argv[1:])
        yield
    except KeyboardInterrupt:  # before training, which handles it
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if received or lost:  # cli.process sets the exit code
            raise
        print(format_error(error), *suggestion(error), sep="\n", file=sys.stderr)
        sys.exit(1)
    finally:
        del os.environ[FULL_ERROR]


def suggestion(error: BaseException) -> list[str]:
    """Return a line with the command that was probably meant, if an error is about the words of the command."""
    about_words = isinstance(error, ConfigError) or not raised_in_run(error)
    command = suggest_command() if about_words else ""
    return [f"  try: {command}"] if command else []
