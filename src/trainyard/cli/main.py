"""Entry points: `trainyard`, `python -m trainyard` and `python train.py`."""

import os
import sys
from collections.abc import Sequence

from trainyard.cli.process import command, prints_result
from trainyard.config.config_folders import split_config_dir

COMMANDS = ("new", "evaluate", "predict", "export", "leaderboard", "runs", "show", "find", "draw")
OWN_OPTIONS = ("-h", "--help", "--version", "--completion")


def main() -> None:
    """Run `trainyard COMMAND ...`; other arguments train, and without arguments the help is printed."""
    args, config_dir = split_config_dir(sys.argv[1:])
    if "_ARGCOMPLETE" in os.environ:  # the shell asks for completions
        from trainyard.cli.completion import complete

        complete()
    elif args[:1] == ["train"]:
        sys.argv[1:] = [*config_dir, *args[1:]]
        train()
    elif not (args or config_dir) or (args and args[0].partition("=")[0] in (*COMMANDS, *OWN_OPTIONS)):
        with command():
            run_command(args)
    else:
        train()


def train() -> None:
    """Train with the overrides in `sys.argv`; slow imports come after the signal handlers are installed."""
    with command(prints_result(sys.argv[1:])):
        from trainyard.cli import train as training

        training.main()


def run_command(args: Sequence[str]) -> None:
    """Parse the arguments, run the command, and exit with its exit code."""
    from trainyard.cli.commands import make_parser
    from trainyard.terminal.logs import prepare_output

    prepare_output()
    run, arguments = make_parser().parse(args or ["--help"])
    from trainyard.cli.error_reports import report_errors

    with report_errors():
        code = run(arguments)
    if code:
        sys.exit(code)
