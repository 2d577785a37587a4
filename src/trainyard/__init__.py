"""Trainyard: experiments on PyTorch Lightning and Hydra.

`python -m trainyard model=cnn optimizer=adam` composes a run, trains it, tests it and writes it down. From Python:

    from trainyard import compose, predict, sweep, train

    run = train(compose(["model=cnn", "optimizer=adam"]))
    run.metrics, run.curves, run.load_model()
    sweep(["model=mlp,cnn", "seed=range(3)"]).leaderboard
    predict(run.folder, "photos")

Importing this package is fast: torch and Lightning are imported when `train` is.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from trainyard.io import torchvision_ops as torchvision_ops

if TYPE_CHECKING:
    from trainyard.config.composition import compose as compose
    from trainyard.inference.predict import predict as predict
    from trainyard.run.run_result import RunResult as RunResult
    from trainyard.run.training import train as train
    from trainyard.sweeps.result import SweepResult as SweepResult
    from trainyard.sweeps.result import sweep as sweep

if "OMP_WAIT_POLICY" not in os.environ:
    # Threads of torch spin for 0.1 ms instead of 20 ms before they sleep: spinning takes cores from other programs.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

__version__ = "0.1.0"
__all__ = ["RunResult", "SweepResult", "compose", "predict", "sweep", "train"]

PUBLIC = {
    "RunResult": "trainyard.run.run_result",
    "SweepResult": "trainyard.sweeps.result",
    "compose": "trainyard.config.composition",
    "predict": "trainyard.inference.predict",
    "sweep": "trainyard.sweeps.result",
    "train": "trainyard.run.training",
}


def __getattr__(name: str) -> Any:
    """Import a public function or class when it is first used."""
    if name in PUBLIC:
        return getattr(importlib.import_module(PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
