"""The probabilities of each class for raw inputs, batch by batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.loading.spec import DataSpec


class Predictor(Protocol):
    """What can predict: a `Classifier`, or anything that has the same two members."""

    spec: DataSpec

    def predict_step(self, batch: Tensor, batch_idx: int, /) -> Tensor:
        """Return the probability of each class, `[B, K]`, of raw inputs."""


@dataclass(frozen=True)
class InputBatch:
    """Some of the inputs, in order.

    Attributes:
        names: what each is called, N of them.
        x: those that could be read, raw: images uint8 `[M, C, H, W]` or rows float32 `[M, F]`.
        errors: why the other N - M could not, by their position.
    """

    names: Sequence[str]
    x: Tensor
    errors: Mapping[int, str]


@dataclass(frozen=True)
class PredictedBatch:
    """What was predicted for some of the inputs.

    Attributes:
        names: what each is called, N of them.
        probabilities: float32 `[N, K]`; NaN where there is an error.
        errors: why nothing could be predicted, by position.
    """

    names: Sequence[str]
    probabilities: NDArray[np.float32]
    errors: Mapping[int, str]


def predict(
    model: Predictor, inputs: Iterable[InputBatch], device: torch.device | str = "cpu"
) -> Iterator[PredictedBatch]:
    """Yield what a model predicts, a batch at a time, as the batches come.

    Args:
        model: in evaluation mode, on the device.
        inputs: the batches.
        device: where they are sent.
    """
    for batch in inputs:
        probabilities = np.full((len(batch.names), len(model.spec.classes)), np.nan, np.float32)
        readable = [position for position in range(len(batch.names)) if position not in batch.errors]
        if readable:
            with torch.inference_mode():
                probabilities[readable] = model.predict_step(batch.x.to(device), 0).float().cpu().numpy()
        lost = np.flatnonzero(~np.isfinite(probabilities).all(axis=1)).tolist()
        errors = dict.fromkeys(lost, "the model's probabilities are no numbers")
        yield PredictedBatch(batch.names, probabilities, {**errors, **batch.errors})
