"""Several networks with the same layers, evaluated together with stacked parameters."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StackedNetwork:
    """Evaluates K networks together; their parameters become views into stacked tensors.

    The networks are divided into S blocks of equal length, with one input for each block. Networks with the same
    examples form a block: the examples are gathered once, and the first layers are one matrix product.

    Args:
        networks: K networks with the same layers: Flatten, Linear and elementwise functions.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        self.layers: list[tuple[Tensor, Tensor] | nn.Module] = []
        self.gradients: list[Tensor] = []
        for layers in zip(*networks, strict=True):
            if isinstance(layers[0], nn.Linear):
                weight = self.stack([layer.weight for layer in layers])  # [K, out, in]
                self.layers.append((weight, self.stack([layer.bias for layer in layers])))  # [K, out]
            elif not isinstance(layers[0], nn.Flatten):
                self.layers.append(layers[0])

    def stack(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Stack a parameter of all networks; the original parameters and their gradients become views."""
        stack = torch.stack([parameter.detach() for parameter in parameters]).requires_grad_()
        gradient = stack.grad = torch.zeros_like(stack)
        for index, parameter in enumerate(parameters):
            parameter.data = stack.detach()[index]
            parameter.grad = gradient[index]
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
    block_size = networks // blocks
    product = torch.bmm(x, weight.view(blocks, block_size * outputs, inputs).transpose(1, 2))
    product = product.view(blocks, batch, block_size, outputs).transpose(1, 2).reshape(networks, batch, outputs)
    return product + bias[:, None]
