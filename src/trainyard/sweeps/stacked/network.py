"""Networks of the same layers as one, with their parameters stacked."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StackedNetwork:
    """Evaluates K networks at once. Each keeps its own parameters, which become views into the stack.

    The networks lie in blocks of equal length, of which each has an input of its own: so those that see the same
    examples have them gathered once, and their first layers are one matrix product.

    Args:
        networks: K of the same layers: Flatten, Linear, and what works element by element.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        self.layers: list[tuple[Tensor, Tensor] | nn.Module] = []
        self.gradients: list[Tensor] = []
        for layers in zip(*networks, strict=True):
            if isinstance(layers[0], nn.Linear):
                weight = self.stacked([layer.weight for layer in layers])  # [K, out, in]
                self.layers.append((weight, self.stacked([layer.bias for layer in layers])))  # [K, out]
            elif not isinstance(layers[0], nn.Flatten):
                self.layers.append(layers[0])

    def stacked(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Stack a parameter of all networks; theirs become views, and so do their gradients."""
        stack = torch.stack([parameter.detach() for parameter in parameters]).requires_grad_()
        gradient = stack.grad = torch.zeros_like(stack)
        for place, parameter in enumerate(parameters):
            parameter.data = stack.detach()[place]
            parameter.grad = gradient[place]
        self.gradients.append(gradient)
        return stack

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of all networks: `[S, B, F]`, one input for each of S blocks -> `[K, B, C]`."""
        for layer in self.layers:
            x = linear(x, *layer) if isinstance(layer, tuple) else layer(x)
        return x

    def zero_grad(self) -> None:
        """Set all gradients to zero, in place."""
        for gradient in self.gradients:
            gradient.zero_()


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `x W' + b` of each network: `[S, B, in]`, `[K, out, in]`, `[K, out]` -> `[K, B, out]`."""
    blocks, batch, _ = x.shape
    networks, outputs, inputs = weight.shape
    if blocks == networks:
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
    together = networks // blocks
    product = torch.bmm(x, weight.view(blocks, together * outputs, inputs).transpose(1, 2))
    apart = product.view(blocks, batch, together, outputs).transpose(1, 2).reshape(networks, batch, outputs)
    return apart + bias[:, None]
