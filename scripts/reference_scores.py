"""Measure the test scores in the README over five seeds: `python scripts/reference_scores.py [NAME ...]`.

Trains each command with seeds 0 to 4 in outputs/reference/. Prints median, mean, standard deviation and minimum of the
test accuracy, and the median seconds per run.
"""

import statistics
import sys
from pathlib import Path

from trainyard.config.composition import compose
from trainyard.run.run_directory import read_result
from trainyard.run.training import train

SEEDS = range(5)
FOLDER = Path("outputs") / "reference"
REFERENCES = {
    "penguins": ["experiment=penguins"],
    "digits_mlp": ["model=mlp"],
    "digits_cnn": ["experiment=digits_cnn"],
    "shapes_cnn": ["experiment=shapes_cnn"],
    "shapes_transfer": ["experiment=shapes_transfer", "model.weights=none"],
}


def run(name: str, seed: int) -> tuple[float, float]:
    """Train with one seed; return the test accuracy and the seconds."""
    folder = FOLDER / name / str(seed)
    train(compose([*REFERENCES[name], f"seed={seed}", f"hydra.run.dir={folder}"]))
    result = read_result(folder)
    return result["metrics"]["test/acc"], result["seconds"]


def main() -> None:
    """Print a row for each reference, or for the given names."""
    names = sys.argv[1:] or list(REFERENCES)
    rows = {name: [run(name, seed) for seed in SEEDS] for name in names}
    print(f"\n{'reference':<16} {'median':>7} {'mean':>7} {'std':>7} {'min':>7} {'seconds':>8}  python train.py ...")
    for name, results in rows.items():
        scores, seconds = ([result[column] for result in results] for column in (0, 1))
        figures = (statistics.median(scores), statistics.mean(scores), statistics.stdev(scores), min(scores))
        columns = " ".join(f"{figure:>7.4f}" for figure in figures)
        print(f"{name:<16} {columns} {statistics.median(seconds):>8.1f}  {' '.join(REFERENCES[name])}")


if __name__ == "__main__":
    main()
