"""Augmentation: random changes of training images `[B, C, H, W]` with values from 0 to 255.

They are drawn for each image separately and computed for a whole batch at once.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Operation = Callable[[Tensor, float], Tensor]

LUMA = torch.tensor([0.299, 0.587, 0.114])  # weights of red, green and blue in grey (ITU-R BT.601)
# Converts RGB to luma and two colour differences; rotating the differences changes only the hue.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
OPERATIONS, SIGNS = 14, 2  # of RandAugment


def random_flip(images: Tensor, rng: torch.Generator, probability: float) -> Tensor:
    """Flip images horizontally with a probability."""
    return flip_chosen(images, torch.rand(len(images), generator=rng) < probability)


def flip_chosen(images: Tensor, chosen: Tensor) -> Tensor:
    """Flip the chosen images, bool `[B]`, horizontally."""
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def random_crop(images: Tensor, rng: torch.Generator, size: float, border: str = "black") -> Tensor:
    """Shift images by whole pixels, up to `size` times the side; the border is black, or reflects the image."""
    count, channels, height, width = images.shape
    margin = [round(size * height), round(size * width)]
    drawn = torch.rand(count, 2, generator=rng)
    top, left = (drawn * (2 * torch.tensor(margin) + 1)).long().to(images.device).unbind(1)
    sides = (margin[1], margin[1], margin[0], margin[0])
    padded = F.pad(images, sides) if border == "black" else F.pad(images.float(), sides, mode="reflect")
    rows = (top[:, None] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(width, device=images.device))[:, None, None, :]
    index = rows * padded.shape[3] + columns  # [B, 1, H, W]
    return padded.flatten(2).gather(2, index.expand(-1, channels, -1, -1).flatten(2)).view_as(images)


def random_affine(
    images: Tensor,
    rng: torch.Generator,
    flip: float = 0.0,
    shift: float = 0.0,
    rotate: float = 0.0,
    skew: float = 0.0,
    scale: float = 0.0,
) -> Tensor:
    """Flip, shift, rotate, shear and scale images with one resampling and black borders; returns float32.

    The arguments are the probability of a flip, the largest shift as a fraction of the side, the largest rotation and
    shear in degrees, and the largest relative change of size (0.1 gives factors from 0.9 to 1.1).
    """
    count = len(images)
    limits = torch.tensor([2 * shift, 2 * shift, rotate * torch.pi / 180, skew * torch.pi / 180, scale])
    sign = torch.where(torch.rand(count, generator=rng) < flip, -1.0, 1.0)
    shift_x, shift_y, turn, shear, growth = ((2 * torch.rand(count, 5, generator=rng) - 1) * limits).T
    cos, sin, tan, zoom = turn.cos(), turn.sin(), shear.tan(), 1 / (1 + growth)
    # Maps points of the result to points of the image.
    row_x = torch.stack([sign * zoom * cos, sign * zoom * (tan * cos - sin), shift_x], dim=1)
    row_y = torch.stack([zoom * sin, zoom * (tan * sin + cos), shift_y], dim=1)
    theta = torch.stack([row_x, row_y], dim=1).to(images.device)  # [B, 2, 3]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)


def random_color(
    images: Tensor, rng: torch.Generator, brightness: float, contrast: float, saturation: float, hue: float
) -> Tensor:
    """Change colours by one linear map per image; in grey images, only brightness and contrast. Returns float32.

    The arguments are the largest changes in both directions, as a factor (0.2 gives factors from 0.8 to 1.2) and, for
    the hue, as a fraction of the colour circle. Contrast scales the distance from the image's mean grey, saturation the
    distance from the pixel's grey.
    """
    limits = torch.tensor([brightness, contrast, saturation, 2 * torch.pi * hue])
    drawn = ((2 * torch.rand(len(images), 4, generator=rng) - 1) * limits).to(images.device)
    gain, contrasts, saturations = (1 + drawn[:, :3, None, None]).unbind(1)  # [B, 1, 1] each
    pixels = images.float().flatten(2)  # [B, C, H * W]
    if images.shape[1] == 3:
        mixing = saturation_maps(saturations) @ hue_maps(drawn[:, 3])
        grey = (LUMA.to(images.device) @ pixels).mean(dim=1)
    else:
        mixing = torch.eye(images.shape[1], device=images.device)
        grey = pixels.mean(dim=(1, 2))
    centre = (gain * (1 - contrasts)) * grey[:, None, None]
    return torch.baddbmm(centre, gain * contrasts * mixing, pixels).clamp_(0, 255).view_as(images)


def saturation_maps(factor: Tensor) -> Tensor:
    """Return the maps that scale the distance from grey by a factor `[B, 1, 1]`, `[B, 3, 3]`."""
    eye = torch.eye(3, device=factor.device)
    return factor * eye + (1 - factor) * LUMA.to(factor.device).expand(3, 3)


def hue_maps(angle: Tensor) -> Tensor:
    """Return the maps that rotate the hue by an angle `[B]` in radians, `[B, 3, 3]`."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    yiq = YIQ.to(angle.device)
    maps: Tensor = torch.linalg.inv(yiq) @ turn @ yiq
    return maps


def random_erase(images: Tensor, rng: torch.Generator, probability: float, largest: float) -> Tensor:
    """Blacken a rectangle in images with a probability (Zhong et al. 2017, arXiv:1708.04896).

    `largest` limits the rectangle's sides, as a fraction of the image's.
    """
    count, _, height, width = images.shape
    drawn = torch.rand(count, 5, generator=rng).to(images.device)
    rows = interval(height, drawn[:, 1] * largest, drawn[:, 2])  # [B, H]
    columns = interval(width, drawn[:, 3] * largest, drawn[:, 4])  # [B, W]
    erased = (drawn[:, 0] < probability)[:, None, None] & rows[:, :, None] & columns[:, None, :]
    return images.masked_fill(erased[:, None], 0)


def interval(length: int, size: Tensor, place: Tensor) -> Tensor:
    """Return which of `length` positions are in an interval of relative `size` and `place`, bool `[B, length]`."""
    start = place * (1 - size)
    position = (torch.arange(length, device=size.device) + 0.5) / length
    return (position >= start[:, None]) & (position < (start + size)[:, None])


def apply_rand_augment(images: Tensor, rng: torch.Generator, operations: int, magnitude: float) -> Tensor:
    """Apply some random operations of torchvision to uint8 images (Cubuk et al. 2019, arXiv:1909.13719).

    At a given magnitude (0 to 30) an operation has no parameter except a sign, so all images of a batch with the same
    operation and sign are changed by one call.
    """
    table = rand_augment_operations(images.shape[-1])
    for _ in range(operations):
        drawn = torch.randint(OPERATIONS * SIGNS, (len(images),), generator=rng)
        changed = images.clone()
        for choice in drawn.unique().tolist():
            index = (drawn == choice).nonzero().flatten().to(images.device)
            sign = 1 if choice % SIGNS else -1
            changed[index] = table[choice // SIGNS](images[index], sign * magnitude / 30)
        images = changed
    return images


def rand_augment_operations(size: int) -> list[Operation]:
    """Return the operations; each takes images and a strength from -1 to 1, whose sign some ignore."""
    from torchvision.transforms.v2 import functional as TF

    def affine(
        x: Tensor, angle: float = 0, shift: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)
    ) -> Tensor:
        degrees = [math.degrees(math.atan(slope)) for slope in shear]
        changed: Tensor = TF.affine(x, angle, [round(shift[0] * size), round(shift[1] * size)], 1.0, degrees)
        return changed

    return [
        lambda x, s: x,
        lambda x, s: affine(x, shear=(0.3 * s, 0)),
        lambda x, s: affine(x, shear=(0, 0.3 * s)),
        lambda x, s: affine(x, shift=(150 / 331 * s, 0)),
        lambda x, s: affine(x, shift=(0, 150 / 331 * s)),
        lambda x, s: affine(x, angle=30 * s),
        lambda x, s: TF.adjust_brightness(x, 1 + 0.9 * s),
        lambda x, s: TF.adjust_saturation(x, 1 + 0.9 * s) if x.shape[1] == 3 else x,
        lambda x, s: TF.adjust_contrast(x, 1 + 0.9 * s),
        lambda x, s: TF.adjust_sharpness(x, 1 + 0.9 * s),
        lambda x, s: TF.posterize(x, 8 - round(4 * abs(s))),
        lambda x, s: TF.solarize(x, 255 * (1 - abs(s))),
        lambda x, s: TF.autocontrast(x),
        lambda x, s: TF.equalize(x),
    ]


def draw_partners(count: int, alpha: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the partner of each example, int64 `[B]`, and its own share, float32 `[B]` from Beta(alpha, alpha)."""
    seed = int(torch.randint(2**62, (), generator=rng))  # torch's Beta distribution takes no generator
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()
    return torch.randperm(count, generator=rng), share


def apply_mixup(x: Tensor, y: Tensor, rng: torch.Generator, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend images and targets `[B, K]` (Zhang et al. 2017, arXiv:1710.09412)."""
    partner, share = (drawn.to(x.device) for drawn in draw_partners(len(x), alpha, rng))
    blended = torch.lerp(x[partner].float(), x.float(), share.view(-1, 1, 1, 1))
    return blended, torch.lerp(y[partner], y, share[:, None])


def apply_cutmix(x: Tensor, y: Tensor, rng: torch.Generator, alpha: float) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of another image, which adds its share of the target (Yun et al. 2019, arXiv:1905.04899)."""
    partner, share = (drawn.to(x.device) for drawn in draw_partners(len(x), alpha, rng))
    place = torch.rand(2, len(x), generator=rng).to(x.device)
    side = (1 - share).sqrt()
    rows, columns = (interval(x.shape[2 + axis], side, place[axis]) for axis in (0, 1))
    pasted = rows[:, :, None] & columns[:, None, :]  # [B, H, W]
    own = 1 - pasted.float().mean(dim=(1, 2))
    return torch.where(pasted[:, None], x[partner], x), torch.lerp(y[partner], y, own[:, None])


class Augmentation:
    """Applies the changes whose argument is not 0, in the order of the arguments.

    Args:
        rand_augment, magnitude: number and strength (0 to 30) of random operations, see `apply_rand_augment`.
        flip: probability of a horizontal flip.
        alternate_flips: flip each image in every second epoch, half of them in each, instead of at random (Jordan 2024,
            arXiv:2404.00498).
        crop: largest shift by whole pixels in each direction, as a fraction of the side.
        border: what `crop` shows beyond the edges: `black`, or `reflect` for the mirrored image.
        shift: largest shift by fractions of a pixel, as a fraction of the side.
        rotate, skew: largest rotation and horizontal shear in both directions, in degrees.
        scale: largest relative change of size in both directions.
        brightness, contrast, saturation, hue: see `random_color`.
        erase, largest: probability of erasing a rectangle, and its largest side as a fraction of the image's.
        mixup, cutmix: alpha of the Beta distribution of an image's share; with both, one is drawn for each batch.
    """

    def __init__(
        self,
        rand_augment: int = 0,
        magnitude: float = 9,
        flip: float = 0.0,
        alternate_flips: bool = False,
        crop: float = 0.0,
        border: str = "black",
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
        self.alternate_flips = alternate_flips
        flip = 0.0 if alternate_flips else flip
        affine: dict[str, Any] = {"flip": flip, "shift": shift, "rotate": rotate, "skew": skew, "scale": scale}
        steps: list[tuple[bool, Callable[[Tensor, torch.Generator], Tensor]]] = [
            (rand_augment > 0, partial(apply_rand_augment, operations=rand_augment, magnitude=magnitude)),
            (flip > 0 and not resampled, partial(random_flip, probability=flip)),
            (crop > 0, partial(random_crop, size=crop, border=border)),
            (resampled, partial(random_affine, **affine)),
            (any(color.values()), partial(random_color, **color)),
            (erase > 0, partial(random_erase, probability=erase, largest=largest)),
        ]
        self.steps = [step for enabled, step in steps if enabled]
        mixtures = ((apply_mixup, mixup), (apply_cutmix, cutmix))
        self.mixtures = [partial(mixture, alpha=alpha) for mixture, alpha in mixtures if alpha > 0]

    def __bool__(self) -> bool:
        return bool(self.steps or self.mixtures or self.alternate_flips)

    def __call__(
        self, x: Tensor, y: Tensor, rng: torch.Generator, classes: int, alternating: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the changed images `[B, C, H, W]` and the targets.

        `alternating`, bool `[B]`, says which images `alternate_flips` flips; without it, they are drawn. Mixtures blend
        numbers and labels `[B, T]`, and turn classes `[B]` into probabilities `[B, classes]`.
        """
        if self.alternate_flips:
            x = random_flip(x, rng, 0.5) if alternating is None else flip_chosen(x, alternating)
        for step in self.steps:
            x = step(x, rng)
        if self.mixtures:
            mixture = self.mixtures[int(torch.randint(len(self.mixtures), (), generator=rng))]
            return mixture(x, F.one_hot(y, classes).float() if y.ndim == 1 else y, rng)
        return x, y
