"""Seconds an epoch beside the arithmetic and beside what people use: `python scripts/benchmark_training.py [OVERRIDE]`.

Trains the default mlp and cnn in turn in each of the ways of `training_contenders.py`, round after round, and prints
the medians and their ratio to the floor; the same goes to outputs/benchmarks/training.json. Overrides such as
`accelerator=gpu compile=true` are for Trainyard's part.
"""

import gc
import os
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from plain_lightning import plain_lightning
from training_contenders import TRAIN, floor, hand_written, loaders, network, trainyard, write_mnist

from trainyard.io.files import write_json
from trainyard.run.provenance import describe_hardware

ROUNDS = {"mlp": 9, "cnn": 3}
RESULT = Path("outputs") / "benchmarks" / "training.json"
FLOOR, OURS, PLAIN = "floor: one preloaded batch", "trainyard", "plain Lightning"

Contender = Callable[[Path], list[float]]


def contenders(name: str, root: Path, options: list[str]) -> dict[str, Contender]:
    """Return the ways to train a network, each called with an empty folder."""
    device = "cuda" if "accelerator=gpu" in options else "cpu"
    return {
        FLOOR: lambda folder: [*floor(name, device), *floor(name, device), *floor(name, device)],
        "floor: channels_last, fused Adam": lambda folder: floor(name, device, tuned=True),
        "loop over torchvision, DataLoader": lambda folder: hand_written(name, root, device),
        PLAIN: lambda folder: plain_lightning(network(name), loaders(root), folder, device),
        OURS: lambda folder: trainyard(name, root, folder, options),
    }


def measure(ways: dict[str, Contender]) -> dict[str, float]:
    """Return the seconds of an epoch of each way, in one round."""
    seconds = {}
    for way, run in ways.items():
        gc.freeze()  # as the command does; or each would pay for what the others have left
        with tempfile.TemporaryDirectory() as folder:
            seconds[way] = statistics.median(run(Path(folder)))
    return seconds


def show(name: str, rounds: list[dict[str, float]]) -> None:
    """Print medians over the rounds; ratios are taken within a round, since the machine is not the same in all."""
    print(f"\n{f'{name}: medians of {len(rounds)} rounds':<36} {'s/epoch':>8} {'images/s':>10} {'of floor':>9}")
    for way in rounds[0]:
        seconds = statistics.median(times[way] for times in rounds)
        ratio = statistics.median(times[way] / times[FLOOR] for times in rounds)
        print(f"{way:<36} {seconds:>8.2f} {TRAIN / seconds:>10,.0f} {ratio:>9.2f}")
    faster = statistics.median(times[PLAIN] / times[OURS] for times in rounds)
    print(f"{PLAIN} takes {faster:.1f} times as long as {OURS}")


def main() -> None:
    """Print a table for each network and write the figures."""
    options = sys.argv[1:]
    warnings.simplefilter("ignore")  # what the other ways are told about their number of workers
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        for name, rounds in ROUNDS.items():
            ways = contenders(name, Path(folder), options)
            results[name] = [measure(ways) for _ in range(rounds)]
            show(name, results[name])
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        RESULT, {"options": options, "torch": torch.__version__, "hardware": describe_hardware(), "rounds": results}
    )
    print(f"\n{os.cpu_count()} cores, torch {torch.__version__}; the seconds of every round are in {RESULT}")


if __name__ == "__main__":
    main()
