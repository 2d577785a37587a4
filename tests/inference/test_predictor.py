"""Anything with a spec and a `predict_step` predicts, and what is no probability is an error."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tests.inference.untrained import ROWS, model_of
from trainyard.data.loading.spec import DataSpec
from trainyard.inference.predict import predict
from trainyard.inference.prediction_batches import InputBatch


@dataclass
class Mean:
    """The least that can predict: the mean of two models."""

    spec: DataSpec = ROWS
    seen: list[tuple[int, bool]] = field(default_factory=list)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        assert batch_idx == 0
        self.seen.append((len(batch), torch.is_inference_mode_enabled()))
        model = model_of(self.spec)
        return (model.predict_step(batch, 0) + model.predict_step(batch + 1, 0)).double() / 2


def test_a_spec_and_a_step_are_enough() -> None:
    model = Mean()
    x = torch.tensor([[1.0, 2.0, 40.0], [float("nan"), 0.0, 70.0]])
    batches = [InputBatch("abc", x, {1: "empty"}), InputBatch("d", torch.empty(0, 3), {0: "gone"})]
    first, second = predict(model, batches)
    assert model.seen == [(2, True)], "nothing is asked of a batch without inputs"
    assert first.probabilities.dtype == np.float32
    assert np.abs(first.probabilities[[0, 2]] - model.predict_step(x, 0).detach().numpy()).max() < 1e-6
    assert np.abs(first.probabilities[[0, 2]].sum(axis=1) - 1).max() < 1e-6
    assert np.isnan(first.probabilities[1]).all()
    assert (first.names, first.errors) == ("abc", {1: "empty"})
    assert (second.names, second.errors) == ("d", {0: "gone"})
    assert np.isnan(second.probabilities).all()
    assert not torch.is_inference_mode_enabled()


def test_what_is_no_probability_is_an_error() -> None:
    class Lost(Mean):
        def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return torch.tensor([[0.25, 0.75, 0.0], [0.0, float("nan"), 1.0]])

    [batch] = predict(Lost(), [InputBatch("abc", torch.ones(2, 3), {0: "empty"})])
    assert batch.errors == {0: "empty", 2: "the model's probabilities are NaN"}
    assert batch.probabilities[1].tolist() == [0.25, 0.75, 0.0]


def test_batches_are_taken_one_at_a_time() -> None:
    taken = []

    def batches():
        for name in "abc":
            taken.append(name)
            yield InputBatch(name, torch.ones(1, 3), {})

    for number, batch in enumerate(predict(Mean(), batches()), start=1):
        assert (len(taken), batch.names) == (number, "abc"[number - 1])
