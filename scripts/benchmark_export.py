"""Speed of exported models compared with the model in torch: `python scripts/benchmark_export.py RUN`.

Prints medians of interleaved rounds, in milliseconds per batch and as a ratio to torch, for the model in torch as
`trainyard predict` calls it, the graph of `--format torch`, and onnxruntime, with the same number of threads.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from benchmark_helpers import measure_rounds, median, median_ratio
from torch import Tensor
from torch.utils.benchmark import Timer

from trainyard.history.find_run import find_checkpoint
from trainyard.inference.capabilities import load_supervised_model
from trainyard.inference.export_formats import FORMATS
from trainyard.inference.export_interface import INPUT, random_inputs
from trainyard.models.supervised import SupervisedModel

BATCH_SIZES = (1, 64, 1024)
ROUNDS = 15
MINIMUM_SECONDS = 0.05  # of each measurement


def predictors(model: SupervisedModel, folder: Path) -> dict[str, Callable[[Tensor], object]]:
    """Return functions that predict a batch, by name."""
    for name in ("onnx", "torch"):
        FORMATS[name].write(model, folder / f"model{FORMATS[name].suffix}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    graph = torch.export.load(folder / "model.pt2").module()
    return {
        "torch": lambda x: model.predict_step(x, 0),
        "exported torch": graph,
        "onnxruntime": lambda x: session.run(None, {INPUT: x.numpy()}),
    }


def milliseconds(predict: Callable[[Tensor], object], x: Tensor) -> float:
    """Return the mean duration of a call."""
    timer = Timer("predict(x)", globals={"predict": predict, "x": x}, num_threads=torch.get_num_threads())
    return 1000 * timer.blocked_autorange(min_run_time=MINIMUM_SECONDS).mean


@torch.inference_mode()
def main() -> None:
    """Print a row for each batch size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    model = load_supervised_model(find_checkpoint(parser.parse_args().run))
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    print(f"{type(model).__name__}, {torch.get_num_threads()} threads, {versions}; ms, medians of {ROUNDS} rounds")
    with TemporaryDirectory() as folder:
        functions = predictors(model, Path(folder))
        for size in BATCH_SIZES:
            x = random_inputs(model.spec, size)
            rounds = measure_rounds({name: partial(milliseconds, f, x) for name, f in functions.items()}, ROUNDS)
            figures = [
                f"{name} {median(rounds, name):.3f} ({median_ratio(rounds, name, 'torch'):.2f})" for name in functions
            ]
            print(f"batch {size:<5}", *figures, sep="  ")


if __name__ == "__main__":
    main()
