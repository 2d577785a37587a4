"""The one shape that images of many files are brought to."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from trainyard.data.image_files import check_regular, quiet
from trainyard.data.pixel_values import raw_mode

SAMPLE = 500  # files that are looked at, spread evenly over all
LARGEST = 224  # pixels of a side, unless asked for more
GREY = ("1", "L", "LA", "La", "F")


def common_shape(
    paths: Sequence[Path], image_size: int | Sequence[int] | None, channels: int | None
) -> tuple[int, int, int]:
    """Return `(C, H, W)`: as asked for (a square where `image_size` is one number), or else as the files are.

    Files of one size keep it; otherwise the side is the median of their smaller sides. They are grey if all are.
    """
    looked_at = [look for path in paths[:: max(1, len(paths) // SAMPLE)] if (look := size_and_colours(path))]
    if channels is None:
        channels = 1 if looked_at and all(grey for _, _, grey in looked_at) else 3
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        return channels, height, width
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
        check_regular(path)
        with quiet(), Image.open(path) as picture:
            grey = is_grey(picture)
            turned = quarter_turned(picture)  # it may load the picture, which turns a TIFF
            width, height = picture.size
            return (width, height, grey) if turned else (height, width, grey)
    except Exception:  # what is wrong with it is said when it is read
        return None


def quarter_turned(picture: Image.Image) -> bool:
    """Whether the camera was held upright, so that height and width change places."""
    try:
        turned = int(picture.getexif().get(0x0112, 1)) >= 5
    except Exception:  # a damaged note of it; the picture is read as it is
        return False
    if turned and picture.format == "TIFF":  # PIL turns these itself, its versions at different times
        picture.load()
        return False
    return turned


def is_grey(picture: Image.Image) -> bool:
    """Whether a picture has no colours, or a palette without any."""
    if picture.mode == "P":
        palette = np.array(picture.getpalette("RGB")).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return picture.mode in GREY or picture.mode.startswith("I") or raw_mode(picture).startswith("LA;16")
