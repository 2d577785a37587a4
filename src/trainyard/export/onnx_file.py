"""ONNX, which onnxruntime and others run without Python."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from trainyard.export.interface import INPUT, OUTPUT, Probabilities, description, examples_like
from trainyard.models.classifier import Classifier

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def write_onnx(model: Classifier, path: Path) -> None:
    """Write one file, whose metadata `trainyard` describe inputs and classes; the batch may be of any size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own ways
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            Probabilities(model),
            (examples_like(model.spec, 2),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"input": {0: torch.export.Dim("batch")}},
        )
    assert program is not None
    program.model.metadata_props["trainyard"] = description(model.spec)
    program.save(path, external_data=False)


def run_onnx(path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what onnxruntime makes of inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0]) for x in inputs]
