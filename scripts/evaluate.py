"""A run tested again, from its directory alone: `python scripts/evaluate.py RUN [OVERRIDE ...] [--tta] [--ensemble K]`.

A RUN is a run's directory, its name in outputs/runs or an unambiguous part of it, SWEEP/NUMBER, latest, best:SWEEP, or
a checkpoint in a run. See docs/evaluate.md.
"""

import argparse
from pathlib import Path

from trainyard.entry import command
from trainyard.logs import print_anything

VIEWS = 8


def commands() -> argparse.ArgumentParser:
    """Return what may be typed."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="An OVERRIDE is data.path=other.csv, data.batch_size=512, trainer.accelerator=cpu and the like.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*")
    parser.add_argument(
        "--tta", action="store_true", help=f"average over {VIEWS} views of each image, changed as in training"
    )
    parser.add_argument("--ensemble", type=int, metavar="K", help="of best:SWEEP, average K jobs, chosen greedily")
    parser.add_argument("--output", type=Path, metavar="DIR", help="for the report, instead of RUN/evaluation")
    parser.add_argument(
        "--trusted-packages", action="append", default=[], metavar="NAME", help="that a run may name classes of"
    )
    return parser


def main() -> None:
    """Print what a test says, and write it beside the run; bad input ends in a few lines and exit code 1."""
    with command():
        print_anything()
        evaluate_run()


def evaluate_run() -> None:
    """Parse the arguments and evaluate."""
    parser = commands()
    chosen = parser.parse_intermixed_args()
    if chosen.ensemble is not None and chosen.ensemble < 1:
        parser.error(f"--ensemble {chosen.ensemble}: a whole number from 1")
    if chosen.ensemble and chosen.tta:
        parser.error("--tta is for one model, --ensemble for several: not both")
    from trainyard.cli import short_errors
    from trainyard.files import check_folder, inside
    from trainyard.subcommands import on_screen

    with short_errors():
        from trainyard.inference.evaluate import evaluate, evaluate_ensemble, write_report

        if chosen.output:
            check_folder(chosen.output)
        with on_screen():
            if chosen.ensemble:
                found, home = evaluate_ensemble(chosen.run, chosen.ensemble, chosen.overrides, chosen.trusted_packages)
            else:
                found, home = evaluate(
                    chosen.run, chosen.overrides, VIEWS if chosen.tta else 1, chosen.trusted_packages
                )
            written = write_report(found, chosen.output or inside(home, "evaluation"))
            print("\n".join([*found.summary, *found.class_lines, f"written    {written}"]))


if __name__ == "__main__":
    main()
