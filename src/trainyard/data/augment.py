"""Random changes of a training batch, drawn for each image apart, computed for the batch at once."""

from collections.abc import Callable

import torch
from torch import Tensor

from trainyard.data import mix
from trainyard.data.affine import RandomAffine, RandomCrop, RandomFlip
from trainyard.data.colour import RandomColour
from trainyard.data.erase import RandomErase
from trainyard.data.rand_augment import RandAugment

Change = Callable[[Tensor, torch.Generator], Tensor]


class Augmentation:
    """Every change that an image can go through; one that is 0 does not take place. In this order:

    Args:
        rand_augment, magnitude: number and strength (0 to 30) of random operations (see `RandAugment`).
        flip: probability of mirroring left and right.
        crop: largest move by whole pixels in each direction, as a fraction of the side.
        shift: the same by fractions of a pixel.
        rotate, skew: largest turn and horizontal shear either way, in degrees.
        scale: largest relative change of size either way.
        brightness, contrast, saturation, hue: see `RandomColour`.
        erase, largest: probability of losing a rectangle, and its largest side as a fraction of the image's.
        mixup, cutmix: alpha of the Beta distribution of an image's share; with both, each batch draws one of them.
    """

    def __init__(
        self,
        rand_augment: int = 0,
        magnitude: float = 9,
        flip: float = 0.0,
        crop: float = 0.0,
        shift: float = 0.0,
        rotate: float = 0.0,
        skew: float = 0.0,
        scale: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        erase: float = 0.0,
        largest: float = 0.5,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        resampled = any((shift, rotate, skew, scale))
        steps: list[tuple[bool, Change]] = [
            (rand_augment > 0, RandAugment(rand_augment, magnitude)),
            (flip > 0 and not resampled, RandomFlip(flip)),
            (crop > 0, RandomCrop(crop)),
            (resampled, RandomAffine(flip, shift, rotate, skew, scale)),
            (any((brightness, contrast, saturation, hue)), RandomColour(brightness, contrast, saturation, hue)),
            (erase > 0, RandomErase(erase, largest)),
        ]
        self.steps = [step for wanted, step in steps if wanted]
        mixtures = ((mix.mixup, mixup), (mix.cutmix, cutmix))
        self.mixtures = [(mixed, alpha) for mixed, alpha in mixtures if alpha > 0]

    def __bool__(self) -> bool:
        return bool(self.steps or self.mixtures)

    def __call__(self, x: Tensor, y: Tensor, draws: torch.Generator, classes: int) -> tuple[Tensor, Tensor]:
        """Return the changed images `[B, C, H, W]`, and the labels; mixed ones as probabilities `[B, K]`."""
        for step in self.steps:
            x = step(x, draws)
        if self.mixtures:
            chosen = int(torch.randint(len(self.mixtures), (), generator=draws))
            mixed, alpha = self.mixtures[chosen]
            return mixed(x, mix.as_probabilities(y, classes), alpha, draws)
        return x, y
