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
SAMPLE_FORMAT, SIGNED = 339, 2  # a TIFF tag and one of its values
# Of these Pillow reads only the high byte of each value.
DEEP_COLORS = re.compile(r"(RGB|RGBA|RGBX|LA);16([BLN])")
# In files read by libtiff, which converts to the machine's byte order, Pillow swaps the bytes once more.
SWAPPED_TWICE = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}

ValueRange = tuple[float, ...]
"""`(low, high)`, which become 0 and 255; empty for 8-bit images, other images then use the range of their bit depth."""


def is_high_bit_depth(image: Image.Image) -> bool:
    """Whether an image that is not loaded has more than 8 bits per channel, or signed values."""
    deep = image.mode == "F" or image.mode.startswith("I") or DEEP_COLORS.fullmatch(raw_mode(image))
    return bool(deep) or is_signed_byte(image)


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


def is_signed_byte(image: Image.Image) -> bool:
    """Whether a TIFF has values from -128 to 127, which Pillow reads as 0 to 255."""
    tags = getattr(image, "tag_v2", {})
    return image.mode == "L" and tuple(tags.get(SAMPLE_FORMAT, ())) == (SIGNED,)


def read_values(image: Image.Image, path: Path) -> NDArray[Any]:
    """Return the values of an image that is not loaded, upright, `[H, W]` or `[H, W, C]`.

    Raises a ValueError for NaN and infinite values.
    """
    mode, signed_byte = raw_mode(image), is_signed_byte(image)
    if colors := DEEP_COLORS.fullmatch(mode):
        return read_deep_colors(image, path, *colors.groups())
    unsigned = image.format == "TIFF" and mode == "I;32N"
    if image.format == "TIFF" and image.tile[0].codec_name == "libtiff":  # type: ignore[attr-defined]
        set_raw_mode(image, SWAPPED_TWICE.get(mode, mode))
    values: NDArray[Any] = np.asarray(apply_orientation(image))
    if unsigned or signed_byte:  # Pillow returns int32 and uint8
        values = values.view(np.uint32 if unsigned else np.int8)
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{bad} of {values.size} pixels are NaN or infinite")
    return values


def read_deep_colors(image: Image.Image, path: Path, colors: str, order: str) -> NDArray[Any]:
    """Return 16-bit values of several channels, uint16 `[H, W, C]`.

    Pillow has no such mode: it reads the high bytes, and in the opposite byte order the low ones.
    """
    if colors == "LA":  # read as four channels of one byte
        set_raw_mode(image, "RGBA")
        grey_alpha: NDArray[Any] = np.ascontiguousarray(np.asarray(apply_orientation(image))).view(">u2")
        return grey_alpha
    opposite = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}[order]
    with Image.open(path) as again:
        set_raw_mode(again, f"{colors};16{opposite}")
        low = np.asarray(apply_orientation(again))
    values: NDArray[Any] = np.asarray(apply_orientation(image)).astype(np.uint16) * 256 + low
    return values[..., :3] if colors == "RGBX" else values


def apply_orientation(image: Image.Image) -> Image.Image:
    """Load an image and apply its EXIF orientation; damaged EXIF data is ignored."""
    image.load()
    with suppress(Exception):  # many types of error
        return ImageOps.exif_transpose(image)
    return image


def to_8_bits(values: NDArray[Any], value_range: ValueRange) -> Image.Image:
    """Return values as an image of 8 bits per channel: `low` becomes 0, `high` 255, values outside are clipped.

    Alpha uses the range of its bit depth.
    """
    colors = without_alpha(values)
    pixels = rescale(colors, value_range or full_scale(*min_max(values)))
    if colors.shape == values.shape:
        return Image.fromarray(pixels)
    alpha = values[..., -1]
    return Image.fromarray(np.dstack([pixels, rescale(alpha, full_scale(0, float(alpha.max())))]))


def rescale(values: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Return values as 0 to 255."""
    low, high = value_range
    pixels = (values.astype(np.float64) - low) / ((high - low) or 1) * 255
    return (pixels + 0.5).clip(0, 255).astype(np.uint8)


def min_max(values: NDArray[Any]) -> ValueRange:
    """Return the lowest and the highest value of an image."""
    colors = without_alpha(values)
    return float(colors.min()), float(colors.max())


def without_alpha(values: NDArray[Any]) -> NDArray[Any]:
    """Return the grey or colour channels of `[H, W]` or `[H, W, C]`."""
    return values if values.ndim == 2 else values[..., : 1 if values.shape[2] == 2 else 3]


def full_scale(low: float, high: float) -> ValueRange:
    """Return the range of the bit depth that values from `low` to `high` need."""
    return min(low, 0.0), float(next((white for white in FULL_SCALES if high <= white), high))


def common_range(found: NDArray[np.float64]) -> ValueRange:
    """Return the range of the values of many images.

    If some have 8 bits, it is that of the bit depth of the others, so that equal brightness stays equal.

    Args:
        found: lowest and highest value of each image, `[N, 2]`; NaN if it has 8 bits, infinite if it is unreadable.
    """
    deep = found[np.isfinite(found).all(axis=1)]
    if not len(deep):
        return ()
    low, high = float(deep[:, 0].min()), float(deep[:, 1].max())
    return full_scale(low, high) if np.isnan(found).any() else (low, high)
