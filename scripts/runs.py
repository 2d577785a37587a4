"""All runs: `python scripts/runs.py list [CONDITION ...]`, `... diff A B`, `... reproduce RUN`.

A run is named by its directory, its name in outputs/runs or an unambiguous beginning or ending of it, SWEEP/NUMBER,
latest, best:SWEEP, or a checkpoint in it. See docs/runs.md.
"""

import argparse
import sys
from pathlib import Path

from trainyard.entry import command
from trainyard.errors import ConfigError
from trainyard.logs import print_anything
from trainyard.subcommands import COMMANDS, check_subcommand

CONDITIONS = """\
model=cnn status=completed 'val/acc>0.95' 'optimizer.lr<0.01' data=dig*
the option of a group, a dotted key of the config, a metric, or name, status, started, best, epochs, seconds,
parameters; compared by =, !=, <, <=, >, >= (in quotes, or the shell takes < and > for files)"""


def commands() -> argparse.ArgumentParser:
    """Return what may be typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    which = parser.add_subparsers(dest="command", required=True)
    listed = which.add_parser("list", help="filter and sort all runs under outputs/", epilog=CONDITIONS)
    listed.formatter_class = argparse.RawDescriptionHelpFormatter
    listed.add_argument("conditions", nargs="*", metavar="CONDITION", help="that a run must fulfil")
    listed.add_argument(
        "--sort", default="started", metavar="KEY", help="best or newest first; -KEY the other way round"
    )
    listed.add_argument("--last", type=count, metavar="N", help="the newest N of those")
    listed.add_argument("--csv", action="store_true", help="all columns, for other programs")
    compared = which.add_parser("diff", help="what differs between two runs, by what probably matters")
    compared.add_argument("a", metavar="A")
    compared.add_argument("b", metavar="B")
    again = which.add_parser("reproduce", help="run the same code with the same config, and compare")
    again.add_argument("run", metavar="RUN")
    again.add_argument(
        "--output", type=Path, metavar="DIR", help="of the new run; outputs/reproduced/NAME unless given"
    )
    again.add_argument("--yes", action="store_true", help="run code that lies in the run's directory, without asking")
    return parser


def count(text: str) -> int:
    """Return a number from 1."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)


def execute(chosen: argparse.Namespace) -> int:
    """Do what was typed; return the exit code."""
    from trainyard.stored.find_run import find_run

    if chosen.command == "list":
        from trainyard.history.run_table import chosen_runs, show, write_csv

        (write_csv if chosen.csv else show)(chosen_runs(chosen.conditions, chosen.sort, chosen.last))
        return 0
    if chosen.command == "diff":
        from trainyard.history.diff import diff

        print(diff(find_run(chosen.a), find_run(chosen.b)))
        return 0
    from trainyard.history.reproduce import reproduce

    return reproduce(find_run(chosen.run), chosen.output, chosen.yes)


def main() -> None:
    """Say what is known of runs; bad input ends in a few lines and exit code 1."""
    with command():
        print_anything()
        run_command()


def run_command() -> None:
    """Parse the arguments and run the subcommand."""
    parser = commands()
    words = sys.argv[1:]
    if words and words[0] not in ("-h", "--help"):
        check_subcommand(parser, words[0], COMMANDS["runs"])
    if "--sort" in words[:-1]:  # which would take -KEY for an option
        place = words.index("--sort")
        words[place : place + 2] = [f"--sort={words[place + 1]}"]
    chosen, more = parser.parse_known_args(words)
    if more and (chosen.command != "list" or any(word.startswith("-") for word in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:  # conditions behind an option
        chosen.conditions += more
    try:
        sys.exit(execute(chosen))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
