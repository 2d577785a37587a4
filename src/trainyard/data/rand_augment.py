"""RandAugment: a few operations out of fourteen, drawn for each image of a batch apart."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Operation = Callable[[Tensor, float], Tensor]
Pair = tuple[float, float]

OPERATIONS = 14
SIGNS = 2


class RandAugment:
    """Applies some random operations to each image, all at one strength (Cubuk et al. 2019, arXiv:1909.13719).

    The operations are torchvision's. At one strength they have no other parameter than a sign, so that all images
    of a batch that drew the same one and the same sign are changed by one call.

    Args:
        operations: how many an image goes through.
        magnitude: their strength, from 0 to 30.
    """

    def __init__(self, operations: int, magnitude: float) -> None:
        self.operations = operations
        self.strength = magnitude / 30

    def __call__(self, images: Tensor, draws: torch.Generator) -> Tensor:
        """Change images uint8 `[B, C, H, W]`; returns the same type."""
        table = operation_table(images.shape[-1])
        for _ in range(self.operations):
            drawn = torch.randint(OPERATIONS * SIGNS, (len(images),), generator=draws)
            changed = images.clone()
            for choice in drawn.unique().tolist():
                chosen = (drawn == choice).nonzero().flatten().to(images.device)
                sign = 1 if choice % SIGNS else -1
                changed[chosen] = table[choice // SIGNS](images[chosen], sign * self.strength)
            images = changed
        return images


def operation_table(size: int) -> list[Operation]:
    """Return the fourteen operations; each takes images and a strength from -1 to 1, of which some ignore the sign."""
    from torchvision.transforms.v2 import functional as TF

    def moved(x: Tensor, angle: float = 0, right: float = 0, down: float = 0, shear: Pair = (0, 0)) -> Tensor:
        degrees = [math.degrees(math.atan(slope)) for slope in shear]
        moved: Tensor = TF.affine(x, angle, [round(right * size), round(down * size)], 1.0, degrees)
        return moved

    def grey_or(operation: Operation) -> Operation:
        return lambda x, s: operation(x, s) if x.shape[1] == 3 else x

    return [
        lambda x, s: x,
        lambda x, s: moved(x, shear=(0.3 * s, 0)),
        lambda x, s: moved(x, shear=(0, 0.3 * s)),
        lambda x, s: moved(x, right=150 / 331 * s),
        lambda x, s: moved(x, down=150 / 331 * s),
        lambda x, s: moved(x, angle=30 * s),
        lambda x, s: TF.adjust_brightness(x, 1 + 0.9 * s),
        grey_or(lambda x, s: TF.adjust_saturation(x, 1 + 0.9 * s)),
        lambda x, s: TF.adjust_contrast(x, 1 + 0.9 * s),
        lambda x, s: TF.adjust_sharpness(x, 1 + 0.9 * s),
        lambda x, s: TF.posterize(x, 8 - round(4 * abs(s))),
        lambda x, s: TF.solarize(x, 255 * (1 - abs(s))),
        lambda x, s: TF.autocontrast(x),
        lambda x, s: TF.equalize(x),
    ]
