"""The activation functions that a config can name."""

from torch import nn

from trainyard.errors import did_you_mean, listing, reject

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
    """Return the layer class of an activation function, or say which names there are."""
    if name not in ACTIVATIONS:
        raise reject("model.activation", name, f"unknown{did_you_mean(name, ACTIVATIONS)}", listing(ACTIVATIONS))
    return ACTIVATIONS[name]
