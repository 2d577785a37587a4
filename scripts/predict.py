"""Predict images or rows by a trained model: `python scripts/predict.py RUN INPUT... [--output predictions.csv]`.

No config and no training data are needed. See docs/predict.md.
"""

import argparse
import sys
from pathlib import Path

from trainyard.entry import command
from trainyard.logs import print_anything

RUN = "a run's directory, its name in outputs/runs or a part of it, SWEEP/NUMBER, latest, best:SWEEP, or a checkpoint"
INPUT = "images, folders of images, tables (.csv, .tsv, .parquet), patterns in quotes such as '**/*.png', - for a CSV"


def commands() -> argparse.ArgumentParser:
    """Return what may be typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=INPUT)
    parser.add_argument("--output", type=Path, metavar="FILE", help="of the predictions, a CSV; stdout unless given")
    parser.add_argument("--batch-size", type=count, metavar="N", help="64 images or 8192 rows at once unless given")
    parser.add_argument("--ensemble", type=count, metavar="K", help="of best:SWEEP, average K jobs, chosen greedily")
    parser.add_argument(
        "--trusted-packages", action="append", default=[], metavar="NAME", help="that a run may name classes of"
    )
    return parser


def count(text: str) -> int:
    """Return a number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return int(text)


def main() -> None:
    """Predict what was typed; bad input ends in a few lines and exit code 1."""
    with command():
        print_anything()
        chosen = commands().parse_intermixed_args()
        from trainyard.cli import short_errors

        with short_errors():
            from trainyard.inference.predict import predict_files

            failed = predict_files(
                chosen.run,
                chosen.inputs,
                chosen.output,
                chosen.batch_size,
                chosen.trusted_packages,
                chosen.ensemble,
            )
        sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
