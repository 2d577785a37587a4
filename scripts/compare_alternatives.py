"""Seconds per epoch of the same mlp in other frameworks: `python scripts/compare_alternatives.py [ROUNDS]`.

60,000 training images of 28 x 28 and 10,000 for validation, batches of 128, on the CPU. Each framework loads the data
as in its own examples. Set OMP_NUM_THREADS=1 for one thread. fastai is included if it is installed.
"""

import gc
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from benchmark_helpers import measure_rounds, median, median_ratio, print_table, time_epochs
from plain_lightning import plain_lightning
from torch import nn
from training_loops import loaders, network, raw_compute, trainyard, write_mnist

ROUNDS = 5
OURS = "trainyard"

Loop = Callable[[Path, Path], list[float]]


def fastai(root: Path, folder: Path) -> list[float]:
    """Train with fastai's Learner, its progress bar and a checkpoint; return the seconds of the epoch."""
    from fastai.basics import Adam, DataLoaders, Learner, accuracy  # type: ignore[import-not-found,unused-ignore]
    from fastai.callback.all import SaveModelCallback  # type: ignore[import-not-found,unused-ignore]

    data = DataLoaders(*loaders(root))
    with time_epochs():  # discards its output
        learner = Learner(
            data,
            network("mlp"),
            loss_func=nn.CrossEntropyLoss(),
            opt_func=Adam,
            metrics=accuracy,
            path=folder,
            cbs=SaveModelCallback(monitor="accuracy"),
        )
        start = time.perf_counter()
        learner.fit(1, 0.001)
        seconds = time.perf_counter() - start
    assert learner.recorder.values[-1][-1] > 0.9
    return [seconds]


def training_loops() -> dict[str, Loop]:
    """Return the training loops; each is called with the folder of the data and an empty folder."""
    loops: dict[str, Loop] = {
        "raw compute": lambda root, folder: raw_compute("mlp", "cpu"),
        OURS: lambda root, folder: trainyard("mlp", root, folder, ["accelerator=cpu"]),
        "Lightning as in templates": lambda root, folder: plain_lightning(network("mlp"), loaders(root), folder, "cpu"),
    }
    if find_spec("fastai"):
        loops[f"fastai {version('fastai')}"] = fastai
    return loops


def measure(loop: Loop, root: Path) -> float:
    """Return the median seconds per epoch."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        return statistics.median(loop(root, Path(folder)))


def main() -> None:
    """Print medians of interleaved rounds, and of the ratios within a round."""
    count = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        variants = {name: partial(measure, loop, Path(folder)) for name, loop in training_loops().items()}
        rounds = measure_rounds(variants, count)
    rows = [(name, f"{median(rounds, name):.2f}", f"{median_ratio(rounds, name, OURS):.1f}") for name in variants]
    print_table(f"mlp: medians of {count} rounds", ["s/epoch", f"ratio to {OURS}"], rows)
    print(f"torch {torch.__version__}, threads {torch.get_num_threads()}, lightning {version('lightning')}")


if __name__ == "__main__":
    main()
