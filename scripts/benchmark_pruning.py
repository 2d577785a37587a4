"""Epochs that pruning saves: `python scripts/benchmark_pruning.py [--epochs 27] [--pruners hyperband median]`.

Runs a grid on the digits with all of its epochs, and with each pruner. Prints the trained epochs as a share of the full
grid's, and the best validation scores. The noise is the standard deviation of the best configuration over seeds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmark_helpers import print_table, time_python

from trainyard.sweeps.stored import StoredSweep

GRID = (
    "data=digits",
    "model=mlp",
    "model.hidden_dims=[16],[64],[128,64]",
    "optimizer=sgd,adam",
    "optimizer.lr=0.0003,0.001,0.003,0.01,0.03,0.1",
    "seed=range(3)",
    "callbacks=none",
    "logger=csv",
    "hydra.launcher.slots=2",
)
COLUMNS = ("epochs", "share", "pruned", "seconds", "best val/acc", "mean of top 3")


def run_grid(folder: Path, pruner: str, epochs: int) -> tuple[StoredSweep, float]:
    """Run the grid in a folder; return the sweep and its seconds."""
    own = [f"sweep.name={pruner}", f"sweep.pruner={pruner}", f"trainer.max_epochs={epochs}"]
    seconds = time_python(["-m", "trainyard", "-m", *GRID, *own], folder)
    return StoredSweep.find(str(folder / "outputs" / "sweeps" / pruner)), seconds


def trained_epochs(sweep: StoredSweep) -> int:
    """Return the number of epochs of all jobs."""
    return sum(job.result["epochs"] for job in sweep.jobs)


def main() -> None:
    """Run the grid without and with each pruner, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--pruners", nargs="+", default=["hyperband", "median"])
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sweeps = {pruner: run_grid(Path(folder), pruner, args.epochs) for pruner in ("none", *args.pruners)}
        full, _ = sweeps["none"]
        noise = next((row.std for row in full.rows if len(row.scores) > 1), float("nan"))
        for pruner, (sweep, seconds) in sweeps.items():
            epochs = trained_epochs(sweep)
            scores = sorted((job.score for job in sweep.jobs if job.score is not None), reverse=True)
            pruned = sum(job.status == "pruned" for job in sweep.jobs)
            counts = (epochs, f"{epochs / trained_epochs(full):.1%}", pruned, f"{seconds:.1f}")
            rows.append([pruner, *counts, f"{scores[0]:.4f}", f"{statistics.mean(scores[:3]):.4f}"])
    print(f"{len(full.jobs)} jobs of {args.epochs} epochs; noise of the best configuration over seeds {noise:.4f}")
    print_table("pruner", COLUMNS, rows)


if __name__ == "__main__":
    main()
