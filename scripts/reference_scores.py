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
from trainyard.terminal.tables import table

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
    rows = []
    for name in sys.argv[1:] or list(REFERENCES):
        scores, seconds = zip(*[run(name, seed) for seed in SEEDS], strict=True)
        figures = (statistics.median(scores), statistics.mean(scores), statistics.stdev(scores), min(scores))
        command = f"python train.py {' '.join(REFERENCES[name])}"
        rows.append([name, *(f"{figure:.4f}" for figure in figures), f"{statistics.median(seconds):.1f}", command])
    columns = ["reference", "median", "mean", "std", "min", "seconds", "command"]
    print(table(columns, rows, right=columns[1:6]))


if __name__ == "__main__":
    main()
