"""The one shape that images of many files are brought to."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

SAMPLE = 500  # files that are looked at, spread evenly over all
LARGEST = 224  # pixels of a side, unless asked for more
GREY = ("1", "L", "LA", "La")


def common_shape(paths: Sequence[Path], image_size: int | None, channels: int | None) -> tuple[int, int, int]:
    """Return `(C, H, W)`: as asked for, or else as the files are.

    Files of one size keep it; otherwise the side is the median of their smaller sides. They are grey if all are.
    """
    looked_at = [look for path in paths[:: max(1, len(paths) // SAMPLE)] if (look := size_and_colours(path))]
    if channels is None:
        channels = 1 if looked_at and all(grey for _, _, grey in looked_at) else 3
    if image_size is not None:
        return channels, image_size, image_size
    sizes = {(height, width) for height, width, _ in looked_at}
    if len(sizes) == 1:
        [(height, width)] = sizes
        if max(height, width) <= LARGEST:
            return channels, height, width
    smaller = [min(height, width) for height, width, _ in looked_at]
    side = min(LARGEST, round(statistics.median(smaller))) if smaller else LARGEST
    return channels, side, side


def size_and_colours(path: Path) -> tuple[int, int, bool] | None:
    """Return height, width and whether it is grey, by the head of a file; `None` where it is no image."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) >= 5  # the camera was held upright
            grey = picture.mode in GREY or picture.mode.startswith("I")
            return (width, height, grey) if turned else (height, width, grey)
    except Exception:  # what is wrong with it is said when it is read
        return None
