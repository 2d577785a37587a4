"""Milliseconds that a batch of 128 images of 3 x 32 x 32 takes to augment: `python scripts/benchmark_augment.py`.

The same changes by this project, by kornia (`pip install kornia`; left out without it) and by torchvision image by
image, each with parameters drawn for each image, in turn; medians.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor
from torchvision.transforms import v2

from trainyard.data.augment import Augmentation
from trainyard.data.loading.loader import derive_generator

ROUNDS = 31
OURS = {
    "flip, shift, rotate, skew": {"flip": 0.5, "shift": 0.1, "rotate": 10, "skew": 8},
    "flip, crop": {"flip": 0.5, "crop": 0.125},
    "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.05},
    "erase": {"erase": 0.5},
    "two of RandAugment": {"rand_augment": 2},
    "MixUp": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
}

Change = Callable[[], object]


def ours(x: Tensor, y: Tensor) -> dict[str, Change]:
    """Return this project's changes."""
    draws = derive_generator(0)
    made = {name: Augmentation(**keys) for name, keys in OURS.items()}  # type: ignore[arg-type]
    return {name: partial(change, x, y, draws, 10) for name, change in made.items()}


def torchvisions(x: Tensor) -> dict[str, Change]:
    """Return torchvision's, image by image: on a batch they draw once for all."""
    made = {
        "flip, shift, rotate, skew": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomAffine(10, (0.1, 0.1), None, 8)]),
        "flip, crop": v2.Compose([v2.RandomHorizontalFlip(), v2.RandomCrop(32, padding=4)]),
        "colour": v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        "erase": v2.RandomErasing(0.5),
        "two of RandAugment": v2.RandAugment(2, 9),
    }
    return {
        name: lambda change=change: torch.stack([change(image) for image in x])  # type: ignore[misc]
        for name, change in made.items()
    }


def kornias(x: Tensor, y: Tensor) -> dict[str, Change]:
    """Return kornia's; its RandAugment draws the operations once for all."""
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


def milliseconds(change: Change) -> float:
    """Return how long one call takes."""
    started = time.perf_counter()
    change()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Print a row for each change."""
    x = torch.randint(0, 256, (128, 3, 32, 32), dtype=torch.uint8)
    y = torch.randint(0, 10, (128,))
    libraries = {"trainyard": ours(x, y), "torchvision": torchvisions(x)}
    if find_spec("kornia"):
        libraries["kornia"] = kornias(x, y)
    print(f"{'ms a batch, median of ' + str(ROUNDS):<28}" + "".join(f"{library:>13}" for library in libraries))
    for name in OURS:
        ways = {library: changes[name] for library, changes in libraries.items() if name in changes}
        rounds = [{library: milliseconds(change) for library, change in ways.items()} for _ in range(ROUNDS)]
        medians = {library: statistics.median(times[library] for times in rounds) for library in ways}
        print(f"{name:<28}" + "".join(f"{medians.get(library, float('nan')):>13.2f}" for library in libraries))


if __name__ == "__main__":
    main()
