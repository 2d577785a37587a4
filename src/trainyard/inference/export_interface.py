"""Inputs and outputs of an exported model: their description, and comparison with those of the checkpoint."""

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Numbers, Target
from trainyard.models.supervised import SupervisedModel

INPUT = "input"
TOLERANCE = 1e-4  # of outputs up to 1, relative for larger ones; in standard deviations of predicted numbers
ROUNDING = 0.005  # share of a number that counts as one standard deviation, since float32 rounds to 7 digits
BATCHES = (1, 7)  # batch sizes at which an exported model is compared with its checkpoint


def output_name(target: Target) -> str:
    """Return the name of the output."""
    return "predictions" if isinstance(target, Numbers) else "probabilities"


def random_inputs(spec: DataSpec, count: int) -> Tensor:
    """Return random raw inputs: images with pixels from 0 to 255, or rows with missing and unknown values."""
    generator = torch.Generator().manual_seed(count)
    if spec.kind == "images":
        return torch.randint(0, 256, (count, *spec.input_shape), dtype=torch.uint8, generator=generator)
    columns = []
    for column, mean, std in zip(spec.columns, spec.mean, spec.std, strict=True):
        if column.levels:
            columns.append(torch.randint(0, len(column.levels) + 1, (count,), generator=generator).float())
        else:
            values = mean + std * torch.randn(count, generator=generator)
            missing = torch.rand(count, generator=generator) < 0.2
            columns.append(torch.where(missing, torch.nan, values))
    return torch.stack(columns, dim=1)


def describe_interface(model: SupervisedModel) -> str:
    """Return a description of inputs and outputs as JSON, to be stored in the exported file."""
    spec = model.spec
    shape = ["batch", *spec.input_shape]
    columns = [{"name": column.name, "levels": list(column.levels)} for column in spec.columns]
    kind = "uint8" if spec.kind == "images" else "float32"
    values = {"value_range": list(spec.value_range)} if spec.value_range else {}
    return json.dumps({"input": {"type": kind, "shape": shape, "columns": columns, **values}, **describe_target(model)})


def describe_target(model: SupervisedModel) -> dict[str, Any]:
    """Return what the outputs mean: names, and the thresholds of probabilities or the transformation of numbers."""
    target = model.spec.target
    names = list(target.names)
    if isinstance(target, Numbers):
        return {"task": target.kind, "targets": names, "transform": target.transform}
    thresholds = {"thresholds": model.task.thresholds} if model.task.thresholds else {}
    return {"task": target.kind, target.nouns: names, **thresholds}


def output_scale(target: Target, expected: Tensor) -> Tensor:
    """Return the size of an output against which its difference is measured."""
    if not isinstance(target, Numbers):
        return torch.ones(())
    std = torch.tensor(target.std)
    return (std * expected if target.transform == "log" else std) + ROUNDING * expected.abs()


def largest_difference(
    outputs: Sequence[Tensor], expected: Sequence[Tensor], scales: Sequence[Tensor | float] | None = None
) -> float:
    """Return the largest difference of outputs divided by their scales; infinity if number or shapes differ.

    By default, the scale of a batch is its largest value, or 1 if that is smaller.
    """
    if [x.shape for x in outputs] != [x.shape for x in expected]:
        return math.inf
    differences = [0.0]
    for place, (x, y) in enumerate(zip(outputs, expected, strict=True)):
        if x.numel() and not (x.dtype == y.dtype and x.equal(y)):
            scale = max(1.0, float(y.double().abs().max())) if scales is None else scales[place]
            differences.append(float(((x.double() - y.double()).abs() / scale).max()))
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def describe_difference(target: Target, difference: float) -> str:
    """Return the largest difference of outputs with its unit."""
    return f"{difference:.2g}{' standard deviations' if isinstance(target, Numbers) else ''}"
