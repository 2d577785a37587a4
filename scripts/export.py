"""A trained model for other programs: `python scripts/export.py RUN --format onnx|torch|safetensors [--output FILE]`.

It takes raw inputs, and gives the probability of each class. See docs/export.md.
"""

import argparse
from pathlib import Path

from trainyard.entry import command
from trainyard.logs import print_anything

RUN = "a run's directory, its name in outputs/runs or a part of it, SWEEP/NUMBER, latest, best:SWEEP, or a checkpoint"


def commands() -> argparse.ArgumentParser:
    """Return what may be typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help=RUN)
    parser.add_argument("--format", required=True, choices=["onnx", "torch", "safetensors"])
    parser.add_argument("--output", type=Path, metavar="FILE", help="RUN/export/model.onnx and so on, unless given")
    parser.add_argument(
        "--trusted-packages", action="append", default=[], metavar="NAME", help="that a run may name classes of"
    )
    return parser


def main() -> None:
    """Export what was typed; bad input ends in a few lines and exit code 1."""
    with command():
        print_anything()
        chosen = commands().parse_args()
        from trainyard.cli import short_errors

        with short_errors():
            from trainyard.inference.export import export_run

            print("\n".join(export_run(chosen.run, chosen.format, chosen.output, chosen.trusted_packages)))


if __name__ == "__main__":
    main()
