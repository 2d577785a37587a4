"""Milliseconds to augment a batch of 128 images of 3 x 32 x 32: `python scripts/benchmark_augment.py`.

Compares Trainyard with kornia (if installed: `pip install kornia`) and with torchvision, which is called for each
image. All draw the parameters of each image separately. Prints medians of interleaved rounds.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from benchmark_helpers import measure_rounds, median, print_table, time_call
from torch import Tensor
from torchvision.transforms import v2

from trainyard.data.augment import Augmentation
from trainyard.data.loading.loader import derive_generator

ROUNDS = 31
TRANSFORMS = {
    "flip, shift, rotate, skew": {"flip": 0.5, "shift": 0.1, "rotate": 10, "skew": 8},
    "flip, crop": {"flip": 0.5, "crop": 0.125},
    "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05},
    "erase": {"erase": 0.5},
    "two of RandAugment": {"rand_augment": 2},
    "MixUp": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
}

Transform = Callable[[], object]


def trainyard_transforms(x: Tensor, y: Tensor) -> dict[str, Transform]:
    """Return the transformations of this project."""
    generator = derive_generator(0)
    transforms = {name: Augmentation(**keys) for name, keys in TRANSFORMS.items()}  # type: ignore[arg-type]
    return {name: partial(transform, x, y, generator, 10) for name, transform in transforms.items()}


def torchvision_transforms(x: Tensor) -> dict[str, Transform]:
    """Return torchvision's transformations, image by image: for a batch they draw parameters only once."""
    transforms = {
        "flip, shift, rotate, skew": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomAffine(10, (0.1, 0.1), None, 8)]),
        "flip, crop": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4)]),
        "colour": v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        "erase": v2.RandomErasing(0.5),
        "two of RandAugment": v2.RandAugment(2, 9),
    }
    return {
        name: lambda transform=transform: torch.stack([transform(image) for image in x])  # type: ignore[misc]
        for name, transform in transforms.items()
    }


def kornia_transforms(x: Tensor, y: Tensor) -> dict[str, Transform]:
    """Return kornia's transformations; its RandAugment draws the operations once per batch."""
    from kornia import augmentation as K
    from kornia.augmentation.auto import RandAugment

    images = x.float() / 255
    flip = K.RandomHorizontalFlip()
    affine = K.RandomAffine(10, (0.1, 0.1), shear=8.0, p=1.0)
    crop, colour = K.RandomCrop((32, 32), padding=4), K.ColorJitter(0.2, 0.2, 0.2, 0.05, p=1.0)
    erase, rand = K.RandomErasing(p=0.5), RandAugment(2, 9)
    mixup, cutmix = (kind(p=1.0, data_keys=["input", "class"]) for kind in (K.RandomMixUpV2, K.RandomCutMixV2))
    return {
        "flip, shift, rotate, skew": lambda: affine(flip(images)),
        "flip, crop": lambda: crop(flip(images)),
        "colour": lambda: colour(images),
        "erase": lambda: erase(images),
        "two of RandAugment": lambda: rand(images),
        "MixUp": lambda: mixup(images, y),
        "CutMix": lambda: cutmix(images, y),
    }


def main() -> None:
    """Print a row for each transformation."""
    x = torch.randint(0, 256, (128, 3, 32, 32), dtype=torch.uint8)
    y = torch.randint(0, 10, (128,))
    libraries = {"trainyard": trainyard_transforms(x, y), "torchvision": torchvision_transforms(x)}
    if find_spec("kornia"):
        libraries["kornia"] = kornia_transforms(x, y)
    rows = []
    for name in TRANSFORMS:
        calls = {library: partial(time_call, found[name]) for library, found in libraries.items() if name in found}
        rounds = measure_rounds(calls, ROUNDS)
        cells = [f"{1000 * median(rounds, library):.2f}" if library in calls else None for library in libraries]
        rows.append([name, *cells])
    print_table(f"ms per batch, median of {ROUNDS}", list(libraries), rows)


if __name__ == "__main__":
    main()
