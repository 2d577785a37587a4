"""How fast exported models are beside the run's own: `python scripts/benchmark_export.py RUN`.

Medians of interleaved rounds, in milliseconds a batch and as a ratio to torch: the model in torch as `predict.py` runs
it, the graph of `--format torch`, and onnxruntime, all with the same number of threads.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime
import torch
from torch import Tensor

from trainyard.history.find_run import find_checkpoint
from trainyard.inference.export_formats import FORMATS, INPUT, OUTPUT, random_inputs
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier

SIZES = (1, 64, 1024)
ROUNDS = 15
LEAST = 0.05  # seconds of each measurement


def ways(model: Classifier, folder: Path) -> dict[str, Callable[[Tensor], object]]:
    """Return each way to predict a batch, by its name."""
    for name in ("onnx", "torch"):
        FORMATS[name].write(model, folder / f"model{FORMATS[name].suffix}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    graph = torch.export.load(folder / "model.pt2").module()
    return {
        "torch": lambda x: model.predict_step(x, 0),
        "exported torch": graph,
        "onnxruntime": lambda x: session.run([OUTPUT], {INPUT: x.numpy()}),
    }


def milliseconds(predict: Callable[[Tensor], object], x: Tensor) -> float:
    """Return the time of a batch, a mean over at least some hundredths of a second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < LEAST or not count:
        predict(x)
        count += 1
    return 1000 * passed / count


@torch.inference_mode()
def main() -> None:
    """Print a row for each size of batch."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    model = load_classifier(find_checkpoint(parser.parse_args().run))
    with TemporaryDirectory() as folder:
        predict = ways(model, Path(folder))
        print(f"{type(model).__name__}, {torch.get_num_threads()} threads, torch {torch.__version__}", end=", ")
        print(f"onnxruntime {onnxruntime.__version__}; ms a batch, medians of {ROUNDS} rounds")
        for size in SIZES:
            x = random_inputs(model.spec, size)
            for way in predict.values():
                way(x)
            rounds = [{name: milliseconds(way, x) for name, way in predict.items()} for _ in range(ROUNDS)]
            medians = {name: statistics.median(one[name] for one in rounds) for name in predict}
            ratios = {name: statistics.median(one[name] / one["torch"] for one in rounds) for name in predict}
            print(
                f"batch {size:<5}", *(f"{name} {medians[name]:.3f} ({ratios[name]:.2f})" for name in predict), sep="  "
            )


if __name__ == "__main__":
    main()
