"""A dozen small image files, and a check of their decoded pixels."""

from pathlib import Path

import numpy as np
from PIL import Image

from trainyard.data.cache.decoded_images import DecodedImages

COUNT = 12
SHAPE = (3, 4, 5)
PIXELS = np.random.default_rng(0).integers(1, 256, (COUNT, 4, 5, 3), dtype=np.uint8)  # no pixel is 0


def save_files(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:02d}.png" for number in range(COUNT)]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def assert_right(found: DecodedImages) -> None:
    assert found.pixels is not None
    assert found.pixels.tolist() == PIXELS.transpose(0, 3, 1, 2).tolist()
    values = PIXELS.astype(np.int64)
    assert found.sums.tolist() == np.stack([values.sum((1, 2)), (values**2).sum((1, 2))], axis=-1).tolist()
    assert found.errors == {}


def entries(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.is_dir()]
