"""What it costs to watch a run: `python scripts/benchmark_pictures.py [OVERRIDE]`.

Trains the default mlp and cnn on 60,000 images of 28 x 28, in turn without callbacks, with the default ones and with
all pictures, round after round, and prints the medians of whole runs and their ratios within a round.
"""

import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

from training_contenders import TRAIN, VAL, write_mnist

from trainyard.config.composition import compose
from trainyard.run.training import train

EPOCHS = {"mlp": 30, "cnn": 4}
ROUNDS = {"mlp": 3, "cnn": 3}
BARE = "none"
CHOICES = (BARE, "default", "pictures")


def seconds_of(model: str, callbacks: str, root: Path, options: list[str]) -> float:
    """Return the seconds of a whole run, the test and what is drawn after it included."""
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder:
        data = ("data=mnist", f"data.root={root}", f"data.val_fraction={VAL / (TRAIN + VAL)}")
        length = f"trainer.max_epochs={EPOCHS[model]}"
        cfg = compose(
            [f"model={model}", *data, length, f"callbacks={callbacks}", f"hydra.run.dir={folder}/run", *options]
        )
        began = time.perf_counter()
        train(cfg)
        return time.perf_counter() - began


def main() -> None:
    """Print a table for each network."""
    options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        for model, rounds in ROUNDS.items():
            found = [{name: seconds_of(model, name, Path(folder), options) for name in CHOICES} for _ in range(rounds)]
            print(
                f"\n{f'{model}, {EPOCHS[model]} epochs':<24} {'seconds':>8} {'of none':>8}   medians of {rounds} rounds"
            )
            for name in CHOICES:
                seconds = statistics.median(times[name] for times in found)
                ratio = statistics.median(times[name] / times[BARE] for times in found)
                print(f"{f'callbacks={name}':<24} {seconds:>8.1f} {ratio:>8.3f}")


if __name__ == "__main__":
    main()
