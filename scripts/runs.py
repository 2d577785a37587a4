"""Earlier runs: `python scripts/runs.py list [CONDITION ...]`, `... diff A B`, `... reproduce RUN`.

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
A key is a config group, a dotted key of the config, a metric, or name, status, started, best, epochs, seconds,
parameters; comparisons are =, !=, <, <=, >, >= (quote them, or the shell redirects < and >).
Also expressions: 'model in ["mlp", "cnn"] and not (seed == 0)'"""


def commands() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    which = parser.add_subparsers(dest="command", required=True)
    listed = which.add_parser("list", help="filter and sort all runs under outputs/", epilog=CONDITIONS)
    listed.formatter_class = argparse.RawDescriptionHelpFormatter
    listed.add_argument("conditions", nargs="*", metavar="CONDITION", help="fulfilled by the runs to list")
    listed.add_argument(
        "--sort", default="started", metavar="KEY", help="best or newest first; -KEY: worst or oldest first"
    )
    listed.add_argument("--last", type=count, metavar="N", help="only the newest N")
    listed.add_argument("--csv", action="store_true", help="all columns, as CSV")
    compared = which.add_parser("diff", help="differences of two runs, the likely causes first")
    compared.add_argument("a", metavar="A")
    compared.add_argument("b", metavar="B")
    again = which.add_parser("reproduce", help="run the same code with the same config again, and compare")
    again.add_argument("run", metavar="RUN")
    again.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the new run (default: outputs/reproduced/NAME)"
    )
    again.add_argument("--yes", action="store_true", help="run code from the run's directory without asking")
    return parser


def count(text: str) -> int:
    """Return a positive integer."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a positive integer")
    return int(text)


def execute(chosen: argparse.Namespace) -> int:
    """Run the chosen subcommand; return the exit code."""
    from trainyard.history.find_run import find_run

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
    """Run the command; bad input ends in a few lines and exit code 1."""
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
