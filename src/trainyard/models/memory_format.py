"""How the kernels of a network lie in memory."""

import torch
from torch import nn

VECTOR = 8  # float32 numbers that AVX2 works on at once


def lay_out_channels_last(model: nn.Module) -> None:
    """Lay the kernels out as processors and GPUs like them, where oneDNN can be trusted with the network.

    Backward, its AVX2 kernel of a 1x1 convolution with a stride writes beyond its memory where fewer than 8 feature
    maps come in, and the process dies, or goes on with spoilt numbers (oneDNN of torch 2.13).
    """
    if not any(is_mistreated(module) for module in model.modules()):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def is_mistreated(module: nn.Module) -> bool:
    """Whether a layer is a convolution with which oneDNN goes wrong."""
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < VECTOR
    )
