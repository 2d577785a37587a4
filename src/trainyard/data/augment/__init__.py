"""Augmentation: random changes of training batches, different for each image, computed for the whole batch at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.augment import transforms


class Augmentation:
    """All available changes, in this order; those with value 0 are disabled.

    Args:
        rand_augment, magnitude: number and strength (0 to 30) of random operations, see `transforms.rand_augment`.
        flip: probability of a horizontal flip.
        crop: largest shift by whole pixels in each direction, as a fraction of the side.
        shift: largest shift by fractions of a pixel, as a fraction of the side.
        rotate, skew: largest rotation and horizontal shear either way, in degrees.
        scale: largest relative change of size either way.
        brightness, contrast, saturation, hue: see `transforms.random_color`.
        erase, largest: probability of erasing a rectangle, and its largest side as a fraction of the image's.
        mixup, cutmix: alpha of the Beta distribution of an image's share; with both, one is drawn for each batch.
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
        color: dict[str, Any] = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
        affine: dict[str, Any] = {"flip": flip, "shift": shift, "rotate": rotate, "skew": skew, "scale": scale}
        steps: list[tuple[bool, Callable[[Tensor, torch.Generator], Tensor]]] = [
            (rand_augment > 0, partial(transforms.rand_augment, operations=rand_augment, magnitude=magnitude)),
            (flip > 0 and not resampled, partial(transforms.random_flip, probability=flip)),
            (crop > 0, partial(transforms.random_crop, size=crop)),
            (resampled, partial(transforms.random_affine, **affine)),
            (any(color.values()), partial(transforms.random_color, **color)),
            (erase > 0, partial(transforms.random_erase, probability=erase, largest=largest)),
        ]
        self.steps = [step for enabled, step in steps if enabled]
        mixtures = ((transforms.mixup, mixup), (transforms.cutmix, cutmix))
        self.mixtures = [partial(mixture, alpha=alpha) for mixture, alpha in mixtures if alpha > 0]

    def __bool__(self) -> bool:
        return bool(self.steps or self.mixtures)

    def __call__(self, x: Tensor, y: Tensor, rng: torch.Generator, classes: int) -> tuple[Tensor, Tensor]:
        """Return the changed images `[B, C, H, W]` and the labels; those of mixtures are probabilities `[B, K]`."""
        for step in self.steps:
            x = step(x, rng)
        if self.mixtures:
            mixture = self.mixtures[int(torch.randint(len(self.mixtures), (), generator=rng))]
            return mixture(x, F.one_hot(y, classes).float(), rng)
        return x, y
