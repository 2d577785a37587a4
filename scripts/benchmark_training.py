"""Seconds per epoch compared with raw compute and other loops: `python scripts/benchmark_training.py [OVERRIDE ...]`.

Trains the default mlp and cnn with each loop of `training_loops.py` and `plain_lightning.py` in interleaved rounds.
Prints the medians and their ratio to raw compute, and writes all measurements to outputs/benchmarks/training.json.
Overrides such as `accelerator=gpu compile=true` apply to Trainyard.
"""

import gc
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from benchmark_helpers import Rounds, measure_rounds, median, median_ratio, print_table
from plain_lightning import plain_lightning
from training_loops import TRAIN, hand_written, loaders, network, raw_compute, trainyard, write_mnist

from trainyard.io.files import write_json
from trainyard.run.provenance import hardware

ROUNDS = {"mlp": 9, "cnn": 3}
RESULT = Path("outputs") / "benchmarks" / "training.json"
RAW, OURS, PLAIN = "raw compute: one preloaded batch", "trainyard", "plain Lightning"

Loop = Callable[[Path], list[float]]


def training_loops(name: str, root: Path, overrides: list[str]) -> dict[str, Loop]:
    """Return the loops that train a network; each is called with an empty folder."""
    device = "cuda" if "accelerator=gpu" in overrides else "cpu"
    return {
        RAW: lambda folder: [second for _ in range(3) for second in raw_compute(name, device)],
        "raw compute: channels_last, fused Adam": lambda folder: raw_compute(name, device, tuned=True),
        "hand-written loop, DataLoader": lambda folder: hand_written(name, root, device),
        PLAIN: lambda folder: plain_lightning(network(name), loaders(root), folder, device),
        OURS: lambda folder: trainyard(name, root, folder, overrides),
    }


def measure(loop: Loop) -> float:
    """Return the seconds per epoch."""
    gc.freeze()  # as train.py does; otherwise a loop also pays for the objects of the previous ones
    with tempfile.TemporaryDirectory() as folder:
        return statistics.median(loop(Path(folder)))


def print_results(name: str, rounds: Rounds) -> None:
    """Print the table of a network."""
    rows = []
    for loop in rounds[0]:
        seconds = median(rounds, loop)
        ratio = median_ratio(rounds, loop, RAW)
        rows.append([loop, f"{seconds:.2f}", f"{TRAIN / seconds:,.0f}", f"{ratio:.2f}"])
    print()
    print_table(f"{name}: medians of {len(rounds)} rounds", ["s/epoch", "images/s", "ratio"], rows)
    print(f"{PLAIN} takes {median_ratio(rounds, PLAIN, OURS):.1f} times as long as {OURS}")


def main() -> None:
    """Print a table for each network and write the measurements."""
    overrides = sys.argv[1:]
    warnings.simplefilter("ignore")  # about the number of workers of the other loops
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        for name, count in ROUNDS.items():
            loops = training_loops(name, Path(folder), overrides)
            results[name] = measure_rounds({label: partial(measure, loop) for label, loop in loops.items()}, count)
            print_results(name, results[name])
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULT, {"options": overrides, "torch": torch.__version__, "hardware": hardware(), "rounds": results})
    print(f"\n{os.cpu_count()} cores, torch {torch.__version__}; all measurements are in {RESULT}")


if __name__ == "__main__":
    main()
