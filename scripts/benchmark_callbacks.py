"""Cost of the default callbacks and of all figures: `python scripts/benchmark_callbacks.py [OVERRIDE ...]`.

Trains the default mlp and cnn on 60,000 images of 28 x 28 with `callbacks=none`, `default` and `pictures` in
interleaved rounds. Prints the medians of whole runs, including the test, and of their ratios within a round.
"""

import gc
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmark_helpers import measure_rounds, median, median_ratio, print_table, time_call
from training_loops import mnist_overrides, write_mnist

from trainyard.config.composition import compose
from trainyard.run.training import train

EPOCHS = {"mlp": 30, "cnn": 4}
ROUNDS = 3
CALLBACKS = ("none", "default", "pictures")


def run_seconds(model: str, callbacks: str, root: Path, overrides: list[str]) -> float:
    """Return the duration of a whole run."""
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder:
        own = [f"model={model}", f"callbacks={callbacks}", f"trainer.max_epochs={EPOCHS[model]}"]
        cfg = compose([*own, *mnist_overrides(root), f"hydra.run.dir={folder}/run", *overrides])
        return time_call(partial(train, cfg))


def main() -> None:
    """Print a table for each network."""
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        for model, epochs in EPOCHS.items():
            variants = {name: partial(run_seconds, model, name, Path(folder), sys.argv[1:]) for name in CALLBACKS}
            rounds = measure_rounds(variants, ROUNDS)
            rows = [
                (f"callbacks={name}", f"{median(rounds, name):.1f}", f"{median_ratio(rounds, name, 'none'):.3f}")
                for name in CALLBACKS
            ]
            print_table(f"\n{model}, {epochs} epochs, medians of {ROUNDS} rounds", ["seconds", "ratio to none"], rows)


if __name__ == "__main__":
    main()
