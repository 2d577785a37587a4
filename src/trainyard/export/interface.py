"""What an exported model takes and gives: raw inputs, and the probability of each class."""

import json

import torch
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.models.classifier import Classifier

INPUT, OUTPUT = "input", "probabilities"
BATCHES = (1, 7)  # sizes at which an exported model is compared with its checkpoint


class Probabilities(nn.Module):
    """A classifier as other programs want it; what it does to its inputs is inside.

    Args:
        model: a trained one.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, input: Tensor) -> Tensor:
        """Return the probability of each class `[B, K]` of uint8 images `[B, C, H, W]` or float32 rows `[B, F]`."""
        return self.model(input).softmax(dim=1)  # type: ignore[no-any-return]


def examples_like(spec: DataSpec, count: int) -> Tensor:
    """Return random raw inputs like those of training: pixels from 0 to 255; rows with missing and unknown values."""
    draws = torch.Generator().manual_seed(count)
    if spec.kind == "images":
        return torch.randint(0, 256, (count, *spec.input_shape), dtype=torch.uint8, generator=draws)
    columns = []
    for column, mean, std in zip(spec.columns, spec.mean, spec.std, strict=True):
        if column.levels:
            columns.append(torch.randint(0, len(column.levels) + 1, (count,), generator=draws).float())
        else:
            values = mean + std * torch.randn(count, generator=draws)
            missing = torch.rand(count, generator=draws) < 0.2
            columns.append(torch.where(missing, torch.nan, values))
    return torch.stack(columns, dim=1)


def description(spec: DataSpec) -> str:
    """Return what a program must know of inputs and outputs, as JSON; it goes into the exported file."""
    shape = ["batch", *spec.input_shape]
    columns = [{"name": column.name, "levels": list(column.levels)} for column in spec.columns]
    kind = "uint8" if spec.kind == "images" else "float32"
    values = {"value_range": list(spec.value_range)} if spec.value_range else {}
    return json.dumps(
        {"input": {"type": kind, "shape": shape, "columns": columns, **values}, "classes": list(spec.classes)}
    )
