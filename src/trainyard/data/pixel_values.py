"""Images of more than 8 bits per channel: their values, and the range of values that becomes black to white."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FULL_SCALES = (1, 255, 4095, 65535)  # white in images of floats from 0 to 1, of 8, 12 and 16 bits
SAMPLE_FORMAT, SIGNED = 339, 2  # a tag of TIFF, and one of its values
# Pillow reads these with 8 bits per channel: the high byte of each value.
DEEP_COLOURS = re.compile(r"(RGB|RGBA|RGBX|LA);16([BLN])")
# After libtiff, which swaps the bytes of big-endian files, Pillow swaps them once more.
SWAPPED_TWICE = {"I;16BS": "I;16S", "I;32BS": "I;32S", "F;32BF": "F;32F"}

Range = tuple[float, ...]
"""`(low, high)`, which become 0 and 255. Empty: 8-bit images only; any other image has the range of its bit depth."""


def over_8_bits(picture: Image.Image) -> bool:
    """Whether an image that is opened but not loaded has more than 8 bits per channel, or signed values."""
    deep = picture.mode == "F" or picture.mode.startswith("I") or DEEP_COLOURS.fullmatch(raw_mode(picture))
    return bool(deep) or is_signed_byte(picture)


def raw_mode(picture: Image.Image) -> str:
    """Return how an image that is not loaded stores its pixels, by Pillow's name of it."""
    tiles = getattr(picture, "tile", None)
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def set_raw_mode(picture: Image.Image, mode: str) -> None:
    """Have Pillow read the pixels of an image that is not loaded in another way."""
    old = raw_mode(picture)
    tiles = picture.tile  # type: ignore[attr-defined]
    arguments = [(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode for tile in tiles if old]
    picture.tile = [tile._replace(args=new) for tile, new in zip(tiles, arguments, strict=True)]  # type: ignore[attr-defined]


def is_signed_byte(picture: Image.Image) -> bool:
    """Whether a TIFF has values from -128 to 127, which Pillow reads as 0 to 255."""
    tags = getattr(picture, "tag_v2", {})
    return picture.mode == "L" and tuple(tags.get(SAMPLE_FORMAT, ())) == (SIGNED,)


def read_values(picture: Image.Image, path: Path) -> NDArray[Any]:
    """Return the values of an image over 8 bits per channel, upright, `[H, W]` or `[H, W, C]`; C is 2, 3 or 4.

    Args:
        picture: opened, not loaded.
        path: of its file.

    Raises:
        OSError, ValueError: it cannot be read, or has pixels that are NaN or infinite.
    """
    mode, signed_byte = raw_mode(picture), is_signed_byte(picture)
    if colours := DEEP_COLOURS.fullmatch(mode):
        return read_deep_colours(picture, path, *colours.groups())
    unsigned = picture.format == "TIFF" and mode == "I;32N"
    if picture.format == "TIFF" and picture.tile[0].codec_name == "libtiff":  # type: ignore[attr-defined]
        set_raw_mode(picture, SWAPPED_TWICE.get(mode, mode))
    values: NDArray[Any] = np.asarray(upright(picture))
    if unsigned or signed_byte:  # which Pillow has as int32 and as uint8
        values = values.view(np.uint32 if unsigned else np.int8)
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{bad} of {values.size} pixels are NaN or infinite")
    return values


def read_deep_colours(picture: Image.Image, path: Path, colours: str, order: str) -> NDArray[Any]:
    """Return 16-bit values of several channels, uint16 `[H, W, C]`.

    Pillow has no such mode. Reading the file again in the opposite byte order gives the low bytes.
    """
    if colours == "LA":  # as four channels of a byte each
        set_raw_mode(picture, "RGBA")
        grey_alpha: NDArray[Any] = np.ascontiguousarray(np.asarray(upright(picture))).view(">u2")
        return grey_alpha
    opposite = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}[order]
    with Image.open(path) as again:
        set_raw_mode(again, f"{colours};16{opposite}")
        low = np.asarray(upright(again))
    values: NDArray[Any] = np.asarray(upright(picture)).astype(np.uint16) * 256 + low
    return values[..., :3] if colours == "RGBX" else values


def upright(picture: Image.Image) -> Image.Image:
    """Load an image and turn it as its camera was held; a damaged note of that is ignored."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # it fails in as many ways as it can be damaged, and the picture is sound
        return picture


def to_8_bits(values: NDArray[Any], value_range: Range) -> Image.Image:
    """Return values as an image of 8 bits per channel: `low` becomes 0, `high` 255, and what lies beyond is clipped.

    Alpha has the range of its bit depth.
    """
    colours = without_alpha(values)
    pixels = scaled(colours, value_range or full_scale(*extremes(values)))
    if colours.shape == values.shape:
        return Image.fromarray(pixels)
    alpha = values[..., -1]
    return Image.fromarray(np.dstack([pixels, scaled(alpha, full_scale(0, float(alpha.max())))]))


def scaled(values: NDArray[Any], value_range: Range) -> NDArray[np.uint8]:
    """Return values as 0 to 255."""
    low, high = value_range
    pixels = (values.astype(np.float64) - low) / ((high - low) or 1) * 255
    return (pixels + 0.5).clip(0, 255).astype(np.uint8)


def extremes(values: NDArray[Any]) -> Range:
    """Return the lowest and the highest value of an image."""
    colours = without_alpha(values)
    return float(colours.min()), float(colours.max())


def without_alpha(values: NDArray[Any]) -> NDArray[Any]:
    """Return grey `[H, W]` as it is; of `[H, W, C]` the grey or the three colours."""
    return values if values.ndim == 2 else values[..., : 1 if values.shape[2] == 2 else 3]


def full_scale(low: float, high: float) -> Range:
    """Return the range of the bit depth that values from `low` to `high` need."""
    return min(low, 0.0), float(next((white for white in FULL_SCALES if high <= white), high))


def common_range(found: NDArray[np.float64]) -> Range:
    """Return the range of the values of many images.

    Beside 8-bit images, whose black and white are known, it is that of the bit depth, so that equal brightness stays
    equal.

    Args:
        found: lowest and highest value of each image, `[N, 2]`; NaN where it has 8 bits, infinite where unreadable.
    """
    deep = found[np.isfinite(found).all(axis=1)]
    if not len(deep):
        return ()
    low, high = float(deep[:, 0].min()), float(deep[:, 1].max())
    return full_scale(low, high) if np.isnan(found).any() else (low, high)
