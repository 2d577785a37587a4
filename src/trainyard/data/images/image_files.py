"""Image files: decoding to a common shape, and files that are decoded on demand."""

import math
import stat
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainyard.data.images.folder_listing import HEIC
from trainyard.data.images.pixel_values import (
    ValueRange,
    apply_orientation,
    is_high_bit_depth,
    min_max,
    raw_mode,
    read_values,
    to_8_bits,
)

SAMPLE = 500  # files that determine the common shape, evenly spaced
MAX_SIDE = 224  # pixels of a side, unless a larger size is requested
GREY = ("1", "L", "LA", "La", "F")

with suppress(ImportError):  # with this package Pillow reads HEIC
    from pillow_heif import register_heif_opener  # type: ignore[import-not-found]

    register_heif_opener()


class UnreadableImageError(OSError):
    """A file is missing or is not a readable image; the message contains its path."""

    def __init__(self, text: str) -> None:
        # If a DataLoader worker raised the error, torch passes a traceback that ends with the message.
        super().__init__(text.rpartition(f"{__name__}.{type(self).__name__}: ")[2].rstrip("\n"))


@dataclass(frozen=True)
class ImageFiles:
    """Image files with the indexing of a tensor of their images, uint8 `[N, C, H, W]`."""

    paths: NDArray[np.str_]  # [N]
    sums: Tensor  # of each image's values and of their squares, int64 [N, C, 2]
    digests: NDArray[np.uint8]  # of the files' contents, [N, 16]
    image_shape: tuple[int, int, int]  # (C, H, W); C is 1 or 3
    value_range: ValueRange = ()  # see `read_image`

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, C, H, W)`."""
        return (len(self.paths), *self.image_shape)

    def __getitem__(self, index: Tensor) -> "ImageFiles":
        rows = index.numpy()
        return replace(self, paths=self.paths[rows], sums=self.sums[index], digests=self.digests[rows])

    def read(self, index: Tensor) -> Tensor:
        """Return the images at these positions, uint8 `[B, C, H, W]`, or raise an UnreadableImageError."""
        paths = map(Path, self.paths[index.numpy()])
        return torch.from_numpy(np.stack([read_image(path, self.image_shape, self.value_range) for path in paths]))


def read_image(path: Path, shape: tuple[int, int, int], value_range: ValueRange = ()) -> NDArray[np.uint8]:
    """Return an image as uint8 `(C, H, W)`, with its EXIF orientation applied, cropped to the centre and resized.

    Transparent pixels become white. The values of `value_range` become 0 and 255 if the file has more than 8 bits per
    channel; if it is empty, those of the file's bit depth.

    Raises:
        UnreadableImageError: the file cannot be read, exceeds PIL's limit of pixels, or contains NaN.
    """
    channels, height, width = shape
    with open_image(path) as image:
        if is_high_bit_depth(image):
            image = to_8_bits(read_values(image, path), value_range)
        else:
            image.draft("L" if channels == 1 else "RGB", (width, height))  # decodes a large JPEG at a reduced size
            image = apply_orientation(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_min_max(path: Path) -> ValueRange:
    """Return the lowest and the highest value of an image, NaN if it has 8 bits, infinity if it is unreadable."""
    try:
        with open_image(path) as image:
            return min_max(read_values(image, path)) if is_high_bit_depth(image) else (math.nan, math.nan)
    except UnreadableImageError:  # reported when its pixels are read
        return math.inf, math.inf


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; any error until it is closed becomes an UnreadableImageError with its path."""
    try:
        check_regular(path)
        with suppress_warnings(), Image.open(path) as image:
            # PIL only warns up to twice the limit, and warnings cannot be errors in one thread only.
            if Image.MAX_IMAGE_PIXELS is not None and math.prod(image.size) > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except Exception as error:  # each format raises errors of its own
        raise UnreadableImageError(f"{path}: {describe_error(error, path)}") from error


def describe_error(error: Exception, path: Path) -> str:
    """Return in a few words why an image cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        if path.suffix.lower() in HEIC:
            return "HEIC needs the package pillow-heif"
        return "not an image that Pillow can read" if path.stat().st_size else "empty"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than the limit of {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def check_regular(path: Path) -> None:
    """Raise an OSError for a pipe or a device, where reading might block or never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """Suppress warnings, such as PIL's about unusual files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def common_shape(
    paths: Sequence[Path], image_size: int | Sequence[int] | None, channels: int | None
) -> tuple[int, int, int]:
    """Return `(C, H, W)` for all images: as requested (one number is a square), else inferred from the files.

    They have the size of the files if it is the same for all and at most 224; otherwise they are squares of the median
    smaller side. They are grey if all files are.
    """
    headers = [header for path in paths[:: max(1, len(paths) // SAMPLE)] if (header := read_header(path))]
    if channels is None:
        channels = 1 if headers and all(grey for _, _, grey in headers) else 3
    if image_size is not None:
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        return channels, height, width
    sizes = [(height, width) for height, width, _ in headers]
    if len(set(sizes)) == 1 and max(sizes[0]) <= MAX_SIDE:
        return channels, *sizes[0]
    side = min(MAX_SIDE, round(statistics.median(map(min, sizes)))) if sizes else MAX_SIDE
    return channels, side, side


def read_header(path: Path) -> tuple[int, int, bool] | None:
    """Return height and width of an upright image and whether it is grey; `None` if it is not an image."""
    try:
        with open_image(path) as image:
            grey = is_grey(image)  # before reading EXIF, which may load the image
            orientation = 1
            with suppress(Exception):  # damaged EXIF data is ignored
                orientation = int(image.getexif().get(0x0112, 1))
            width, height = image.size
            if orientation >= 5 and image.format != "TIFF":  # Pillow gives the size of an upright TIFF
                width, height = height, width
            return height, width, grey
    except UnreadableImageError:  # reported when the image is decoded
        return None


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colours, or a palette of greys."""
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in GREY or image.mode.startswith("I") or raw_mode(image).startswith("LA;16")
