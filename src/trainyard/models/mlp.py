"""The multi-layer perceptron."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.io.errors import config_error, did_you_mean, join_limited
from trainyard.models.supervised import SupervisedModel

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def activation_layer(name: str) -> type[nn.Module]:
    """Return the layer class of an activation function, or raise a ConfigError for an unknown name."""
    if name not in ACTIVATIONS:
        raise config_error(
            "model.activation", name, f"unknown{did_you_mean(name, ACTIVATIONS)}", join_limited(ACTIVATIONS)
        )
    return ACTIVATIONS[name]


class MLP(SupervisedModel):
    """Fully connected layers with activations, for rows and for flattened images.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        hidden_dims: neurons in each hidden layer; empty for a linear model.
        activation: relu, leaky_relu, elu, gelu, silu, tanh, sigmoid or identity.
        dropout: probability of dropping each hidden neuron in training.
        training: arguments of `SupervisedModel`: optimizer, scheduler and label smoothing.
    """

    inputs = ("images", "rows")

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        hidden_dims: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(spec, **training)
        size = self.normalize(self.example_input_array).flatten(1).shape[1]
        self.net = fully_connected(size, hidden_dims, self.output_size, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of raw inputs: `[B, ...]` -> `[B, K]`."""
        return self.net(self.normalize(x))  # type: ignore[no-any-return]


def fully_connected(
    inputs: int, hidden_dims: Sequence[int], outputs: int, activation: str, dropout: float
) -> nn.Sequential:
    """Return a network that flattens its input, with one hidden layer per size: `[B, ...]` -> `[B, outputs]`."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size in hidden_dims:
        layers += [nn.Linear(inputs, size), activation_layer(activation)()]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
