"""The memory format of convolutions."""

import torch
from torch import nn


def use_channels_last(model: nn.Module) -> None:
    """Store convolution kernels in `channels_last`, unless oneDNN has a defect with one of the layers.

    In torch 2.13, the backward pass of oneDNN's AVX2 kernel for a 1x1 convolution with a stride writes outside its
    memory for fewer than 8 input channels: the process crashes, or continues with wrong numbers.
    """

    def is_affected(module: nn.Module) -> bool:
        if not isinstance(module, nn.Conv2d):
            return False
        return module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels < 8

    if not any(is_affected(module) for module in model.modules()):
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
