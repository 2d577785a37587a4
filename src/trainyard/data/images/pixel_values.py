"""Images with more than 8 bits per channel: their values, and the range of values that becomes black to white."""

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FULL_SCALES = (1, 255, 4095, 65535)  # white in images of floats from 0 to 1 and of 8, 12 and 16 bits
DEEP_COLORS = re.compile(r"(RGB|RGBA);16([BLN])")  # of these Pillow reads only the high byte of each value
# In files read by libtiff, which converts to the machine's byte order, Pillow swaps the bytes once more.
SWAPPED_TWICE = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}

ValueRange = tuple[float, ...]
"""`(low, high)`, which become 0 and 255; empty for 8-bit images, other images then use the range of their bit depth."""


def is_high_bit_depth(image: Image.Image) -> bool:
    """Whether an image that is not loaded has more than 8 bits per channel."""
    return image.mode == "F" or image.mode.startswith("I") or bool(DEEP_COLORS.fullmatch(raw_mode(image)))


def raw_mode(image: Image.Image) -> str:
    """Return Pillow's name for the pixel format of the file of an image that is not loaded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def set_raw_mode(image: Image.Image, mode: str) -> None:
    """Set the pixel format by which Pillow will load an image."""
    if raw_mode(image):
        tiles = image.tile  # type: ignore[attr-defined]
        arguments = [(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode for tile in tiles]
        image.tile = [tile._replace(args=new) for tile, new in zip(tiles, arguments, strict=True)]  # type: ignore[attr-defined]


def read_values(image: Image.Image, path: Path) -> NDArray[Any]:
    """Return the values of an image that is not loaded, upright, `[H, W]` or `[H, W, C]`; NaN raises a ValueError."""
    mode = raw_mode(image)
    if colors := DEEP_COLORS.fullmatch(mode):
        return read_deep_colors(image, path, *colors.groups())
    if image.format == "TIFF" and image.tile[0].codec_name == "libtiff":  # type: ignore[attr-defined]
        set_raw_mode(image, SWAPPED_TWICE.get(mode, mode))
    values: NDArray[Any] = np.asarray(apply_orientation(image))
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{bad} of {values.size} pixels are NaN or infinite")
    return values


def read_deep_colors(image: Image.Image, path: Path, colors: str, order: str) -> NDArray[Any]:
    """Return 16-bit values of several channels, uint16 `[H, W, C]`.

    Pillow has no mode for them: it reads the high bytes, and in the opposite byte order the low bytes.
    """
    opposite = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}[order]
    with Image.open(path) as again:
        set_raw_mode(again, f"{colors};16{opposite}")
        low = np.asarray(apply_orientation(again))
    values: NDArray[Any] = np.asarray(apply_orientation(image)).astype(np.uint16) * 256 + low
    return values


def apply_orientation(image: Image.Image) -> Image.Image:
    """Load an image and apply its EXIF orientation; damaged EXIF data is ignored."""
    image.load()
    with suppress(Exception):  # many types of error
        return ImageOps.exif_transpose(image)
    return image


def to_8_bits(values: NDArray[Any], value_range: ValueRange) -> Image.Image:
    """Return values as an image of 8 bits per channel; alpha uses the range of its bit depth."""
    pixels = rescale(values[..., :3] if values.ndim == 3 else values, value_range or full_scale(*min_max(values)))
    if pixels.shape == values.shape:
        return Image.fromarray(pixels)
    alpha = values[..., 3]
    return Image.fromarray(np.dstack([pixels, rescale(alpha, full_scale(0, float(alpha.max())))]))


def rescale(values: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Return values as 0 to 255: `low` becomes 0, `high` 255, values outside are clipped."""
    low, high = value_range
    pixels = (values.astype(np.float64) - low) / ((high - low) or 1) * 255
    return (pixels + 0.5).clip(0, 255).astype(np.uint8)


def min_max(values: NDArray[Any]) -> ValueRange:
    """Return the lowest and the highest value of an image without its alpha channel."""
    colors = values[..., :3] if values.ndim == 3 else values
    return float(colors.min()), float(colors.max())


def full_scale(low: float, high: float) -> ValueRange:
    """Return the range of the bit depth that values from `low` to `high` need."""
    return min(low, 0.0), float(next((white for white in FULL_SCALES if high <= white), high))


def common_range(extremes: NDArray[np.float64]) -> ValueRange:
    """Return the range of many images from the results of `read_min_max`, `[N, 2]`.

    Beside 8-bit images it is the full range of the bit depth of the others, so that equal brightness remains equal.
    """
    deep = extremes[np.isfinite(extremes).all(axis=1)]
    if not len(deep):
        return ()
    low, high = float(deep[:, 0].min()), float(deep[:, 1].max())
    return full_scale(low, high) if np.isnan(extremes).any() else (low, high)
