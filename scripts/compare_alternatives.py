"""Seconds an epoch of the same mlp in other frameworks and here: `python scripts/compare_alternatives.py [ROUNDS]`.

60,000 training images of 28 x 28 and 10,000 for validation, batches of 128, on the processor. Each way reads the data
as its own examples do. Set OMP_NUM_THREADS=1 for one thread; fastai takes part where it is installed.
"""

import gc
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from epoch_clock import timed_epochs
from plain_lightning import plain_lightning
from torch import nn
from training_contenders import floor, loaders, network, trainyard, write_mnist

ROUNDS = 5
OURS = "trainyard"

Way = Callable[[Path, Path], list[float]]


def fastai(root: Path, folder: Path) -> list[float]:
    """Train with fastai's Learner, its bar, and a checkpoint of the best epoch; return the seconds of the epoch."""
    from fastai.basics import Adam, DataLoaders, Learner, accuracy  # type: ignore[import-not-found,unused-ignore]
    from fastai.callback.all import SaveModelCallback  # type: ignore[import-not-found,unused-ignore]

    data = DataLoaders(*loaders(root))
    with timed_epochs():  # for its silence
        learner = Learner(
            data,
            network("mlp"),
            loss_func=nn.CrossEntropyLoss(),
            opt_func=Adam,
            metrics=accuracy,
            path=folder,
            cbs=SaveModelCallback(monitor="accuracy"),
        )
        started = time.perf_counter()
        learner.fit(1, 0.001)
        seconds = time.perf_counter() - started
    assert learner.recorder.values[-1][-1] > 0.9
    return [seconds]


def ways() -> dict[str, Way]:
    """Return the ways to train, each called with the data's folder and an empty one."""
    found: dict[str, Way] = {
        "the arithmetic alone": lambda root, folder: floor("mlp", "cpu"),
        OURS: lambda root, folder: trainyard("mlp", root, folder, ["accelerator=cpu"]),
        "Lightning as templates use it": lambda root, folder: plain_lightning(
            network("mlp"), loaders(root), folder, "cpu"
        ),
    }
    if find_spec("fastai"):
        found[f"fastai {version('fastai')}"] = fastai
    return found


def measure(way: Way, root: Path) -> float:
    """Return the seconds of an epoch, the median where there are several."""
    gc.collect()
    with tempfile.TemporaryDirectory() as folder:
        return statistics.median(way(root, Path(folder)))


def main() -> None:
    """Print the medians of interleaved rounds, and of the ratios within a round."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        write_mnist(Path(folder))
        times = [{name: measure(way, Path(folder)) for name, way in ways().items()} for _ in range(rounds)]
    print(f"{f'mlp: medians of {rounds} rounds':<32} {'s/epoch':>8} {'of ' + OURS:>13}")
    for name in times[0]:
        seconds = statistics.median(each[name] for each in times)
        ratio = statistics.median(each[name] / each[OURS] for each in times)
        print(f"{name:<32} {seconds:>8.2f} {ratio:>13.1f}")
    print(f"torch {torch.__version__}, threads {torch.get_num_threads()}, lightning {version('lightning')}")


if __name__ == "__main__":
    main()
