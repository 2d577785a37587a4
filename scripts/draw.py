"""Pictures of trained runs: `python scripts/draw.py curves RUN ...`, `... decision RUN`, `... layers RUN`.

A RUN is a run's directory, its name in outputs/runs or an unambiguous part of it, SWEEP/NUMBER, latest, best:SWEEP, or
a checkpoint in a run; curves take a whole SWEEP too. Pictures lie in outputs/draw. See docs/runs.md.
"""

import argparse
import sys

from trainyard.entry import command
from trainyard.logs import print_anything


def commands() -> argparse.ArgumentParser:
    """Return what may be typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    which = parser.add_subparsers(dest="what", required=True, metavar="curves|decision|layers")
    curves = which.add_parser("curves", help="loss and accuracy of runs, or of the jobs of a sweep, over the epochs")
    curves.add_argument("names", nargs="+", metavar="RUN|SWEEP")
    curves.add_argument(
        "--of", nargs="+", default=(), metavar="NAME", help="columns of metrics.csv, such as val/loss or lr"
    )
    decision = which.add_parser("decision", help="what a model of two measurements says of each point of their plane")
    layers = which.add_parser("layers", help="what each layer makes of one validation image, with the first kernels")
    layers.add_argument("--example", type=int, default=0, metavar="N", help="its number among the validation images")
    for parser_ in (decision, layers):
        parser_.add_argument("run", metavar="RUN")
        parser_.add_argument(
            "--trusted-packages", action="append", default=[], metavar="NAME", help="that a run may name classes of"
        )
    return parser


def main() -> None:
    """Draw what was typed; bad input ends in a few lines and exit code 1."""
    with command():
        print_anything()
        from trainyard.subcommands import COMMANDS, check_subcommand

        parser = commands()
        if sys.argv[1:] and not sys.argv[1].startswith("-"):
            check_subcommand(parser, sys.argv[1], COMMANDS["draw"])
        draw(parser.parse_args())


def draw(chosen: argparse.Namespace) -> None:
    """Draw what was typed."""
    from trainyard.cli import short_errors
    from trainyard.subcommands import on_screen

    with short_errors(), on_screen():
        if chosen.what == "curves":
            from trainyard.inspect import curves

            curves.draw(chosen.names, chosen.of)
        elif chosen.what == "decision":
            from trainyard.inspect import decision_regions

            decision_regions.draw(chosen.run, chosen.trusted_packages)
        else:
            from trainyard.inspect import layer_outputs

            layer_outputs.draw(chosen.run, chosen.example, chosen.trusted_packages)


if __name__ == "__main__":
    main()
