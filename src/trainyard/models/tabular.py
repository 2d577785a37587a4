"""A network for rows of tables: embeddings of numbers, and an ensemble of perceptrons that share most weights."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.models.input_layers import EncodeColumns
from trainyard.models.mlp import activation_layer
from trainyard.models.number_embeddings import PiecewiseLinearEmbedding
from trainyard.models.supervised import SupervisedModel
from trainyard.optim.optimizers import weight_decay_groups


class Tabular(SupervisedModel):
    """An ensemble of perceptrons over embedded columns, as in TabM (Gorishniy et al. 2024, arXiv:2410.24210).

    The members share their weight matrices and differ in scales of the inputs and outputs of each layer, in biases and
    in the last layer. In training, the loss is the mean of the members' losses; the prediction is that of their mean
    output. Categories are encoded as in `MLP`.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        hidden_dims: neurons in each hidden layer.
        members: number of perceptrons.
        embedding_width: size of the vector of each number.
        activation: see `MLP`.
        dropout: probability of dropping each hidden neuron in training.
        lr_factor: learning rate relative to the optimizer's.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.
    """

    inputs = ("rows",)
    normalize: EncodeColumns

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        hidden_dims: Sequence[int],
        members: int = 8,
        embedding_width: int = 8,
        activation: str = "relu",
        dropout: float = 0.0,
        lr_factor: float = 1.0,
        **training: Any,
    ) -> None:
        super().__init__(spec, **training)
        self.members = members
        self.lr_factor = lr_factor
        numbers = self.normalize.numeric_width
        if numbers:
            self.embedding = PiecewiseLinearEmbedding(bin_edges(self.spec.columns, self.normalize), embedding_width)
        widths = [embedding_width] * numbers
        widths += [1] * (self.normalize(self.example_input_array).shape[1] - numbers)
        # The features of a number share their scale, so that each member starts with its own weighting of the numbers.
        scale = torch.randn(members, len(widths)).repeat_interleave(torch.tensor(widths), dim=1)
        layers: list[nn.Module] = []
        inputs = sum(widths)
        for size in hidden_dims:
            layers += [SharedLinear(inputs, size, scale), activation_layer(activation)()]
            layers += [nn.Dropout(dropout)] if dropout else []
            inputs, scale = size, torch.ones(members, size)
        self.net = nn.Sequential(*layers, SeparateLinear(inputs, self.output_size, members))

    def features(self, x: Tensor) -> Tensor:
        """Embed the numbers and encode the other columns of raw rows: `[B, F]` -> `[B, width]`."""
        encoded, numbers = self.normalize(x), self.normalize.numeric_width  # the numbers come first
        embedded = [self.embedding(encoded[:, :numbers]).flatten(1)] if numbers else []
        return torch.cat([*embedded, encoded[:, numbers:]], dim=1)

    def member_outputs(self, x: Tensor) -> Tensor:
        """Return the outputs of each member for raw rows: `[B, F]` -> `[B, members, output_size]`."""
        features = self.features(x)
        return self.net(features.unsqueeze(1).expand(-1, self.members, -1))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean output of the members for raw rows: `[B, F]` -> `[B, output_size]`."""
        return self.member_outputs(x).mean(dim=1)

    def outputs_and_loss(self, x: Tensor, y: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Return the mean output of the members, and their mean loss in training, else the loss of the mean output."""
        if not training:
            return super().outputs_and_loss(x, y, training)
        outputs = self.member_outputs(x)
        loss = self.task.loss(outputs.flatten(0, 1), y.repeat_interleave(self.members, dim=0), training)
        return outputs.mean(dim=1), loss / self.members

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return the weights and, without weight decay, the scales and biases, which are matrices of the members."""
        named = ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)
        groups = weight_decay_groups(named, no_decay=("*_scale", "*bias"))
        return [{**group, "lr_factor": self.lr_factor} for group in groups]


class SharedLinear(nn.Module):
    """A linear layer for each member with the same weights, but own biases and scales of inputs and outputs.

    This is the layer of BatchEnsemble (Wen et al. 2020, arXiv:2002.06715): the weights of two members differ by a
    factor of rank one.

    Args:
        inputs, outputs: numbers of features.
        input_scale: the initial scales of each member's inputs, `[members, inputs]`.
    """

    def __init__(self, inputs: int, outputs: int, input_scale: Tensor) -> None:
        super().__init__()
        members, bound = len(input_scale), 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.input_scale = nn.Parameter(input_scale)
        self.output_scale = nn.Parameter(torch.ones(members, outputs))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound).repeat(members, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: `[B, members, inputs]` -> `[B, members, outputs]`."""
        return nn.functional.linear(x * self.input_scale, self.weight) * self.output_scale + self.bias


class SeparateLinear(nn.Module):
    """A linear layer for each member that shares nothing."""

    def __init__(self, inputs: int, outputs: int, members: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer: `[B, members, inputs]` -> `[B, members, outputs]`."""
        return torch.einsum("bmi,mio->bmo", x, self.weight) + self.bias


def bin_edges(columns: Sequence[Column], encode: EncodeColumns) -> list[list[float]]:
    """Return the distinct quantiles of each numeric column, standardised as the numbers are."""
    statistics = zip(encode.numeric.tolist(), encode.mean.tolist(), encode.scale.tolist(), strict=True)
    quantiles = [(torch.tensor(columns[place].quantiles) - mean) * scale for place, mean, scale in statistics]
    return [points.unique().tolist() for points in quantiles]
