"""What pruning saves: a grid on the digits with all of its epochs, and with `sweep.pruner=hyperband` or `median`.

`python scripts/benchmark_pruning.py [--epochs 27] [--pruners hyperband median]` prints, for each pruner, the share of
the full grid's epochs that it trained, and the best validation score beside that of the full grid, whose noise is the
standard deviation of the best configuration over the seeds.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trainyard.sweeps.stored import StoredSweep

TRAIN = Path(__file__).parents[1] / "train.py"
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


def sweep(folder: Path, pruner: str, epochs: int) -> tuple[StoredSweep, float]:
    """Run the grid in a folder, and return it with the seconds that it took."""
    name = f"digits-{pruner}"
    own = [f"sweep.name={name}", f"sweep.pruner={pruner}", f"trainer.max_epochs={epochs}"]
    start = time.perf_counter()
    subprocess.run([sys.executable, str(TRAIN), "-m", *GRID, *own], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return StoredSweep.find(str(folder / "outputs" / "sweeps" / name)), time.perf_counter() - start


def main() -> None:
    """Run the grid once without and once with each pruner, and print what became of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--pruners", nargs="+", default=["hyperband", "median"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {pruner: sweep(Path(folder), pruner, chosen.epochs) for pruner in ("none", *chosen.pruners)}
        full = found["none"][0]
        noise = next((row.std for row in full.rows if len(row.scores) > 1), float("nan"))
        budget = sum(job.result["epochs"] for job in full.jobs)
        print(f"{len(full.jobs)} jobs of {chosen.epochs} epochs; noise of the best over seeds {noise:.4f}")
        print(
            f"{'':<10} {'epochs':>7} {'share':>6} {'pruned':>7} {'seconds':>8} {'best val/acc':>13} {'top 3 mean':>11}"
        )
        for pruner, (stored, seconds) in found.items():
            epochs = sum(job.result["epochs"] for job in stored.jobs)
            scores = sorted((job.score for job in stored.jobs if job.score is not None), reverse=True)
            pruned = sum(job.status == "pruned" for job in stored.jobs)
            print(
                f"{pruner:<10} {epochs:>7} {epochs / budget:>6.1%} {pruned:>7} {seconds:>8.1f} "
                f"{scores[0]:>13.4f} {statistics.mean(scores[:3]):>11.4f}"
            )


if __name__ == "__main__":
    main()
