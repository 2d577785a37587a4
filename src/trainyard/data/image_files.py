"""Images that stay in their files until they are needed."""

import math
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainyard.data.find_files import CONVERTIBLE
from trainyard.data.pixel_values import Range, extremes, over_8_bits, read_values, to_8_bits, upright

TIFF = (b"II*\0", b"MM\0*")  # the first bytes

with suppress(ImportError):  # where it is installed, Pillow reads HEIC
    from pillow_heif import register_heif_opener  # type: ignore[import-not-found]

    register_heif_opener()


class UnreadableImageError(OSError):
    """A file that is gone or no longer an image; the message names it.

    Args:
        text: the message; where a worker of a DataLoader raised it, torch gives a traceback that ends with it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text.rpartition(f"{__name__}.{type(self).__name__}: ")[2].rstrip("\n"))


@dataclass(frozen=True)
class ImageFiles:
    """Image files that look like a tensor of the pictures in them, uint8 `[N, C, H, W]`.

    Attributes:
        paths: of the files, `[N]`.
        sums: of each picture's values and of their squares, a channel each, int64 `[N, C, 2]`, for statistics.
        contents: digests of the files, uint8 `[N, 16]`.
        image_shape: `(C, H, W)`; C is 1 or 3.
        value_range: see `read_image`.
    """

    paths: NDArray[np.str_]
    sums: Tensor
    contents: NDArray[np.uint8]
    image_shape: tuple[int, int, int]
    value_range: Range | None = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, C, H, W)`."""
        return (len(self.paths), *self.image_shape)

    def __getitem__(self, index: Tensor) -> "ImageFiles":
        chosen = index.numpy()
        return replace(self, paths=self.paths[chosen], sums=self.sums[index], contents=self.contents[chosen])

    def read(self, index: Tensor) -> Tensor:
        """Return the pictures at these positions, uint8 `[B, C, H, W]`.

        Raises:
            UnreadableImageError: a file that is gone or no longer an image.
        """
        paths = map(Path, self.paths[index.numpy()])
        return torch.from_numpy(np.stack([read_image(path, self.image_shape, self.value_range) for path in paths]))


def read_image(path: Path, shape: tuple[int, int, int], value_range: Range | None = ()) -> NDArray[np.uint8]:
    """Return a picture as uint8 `(C, H, W)`: turned as its camera says, cut to the middle and resized to the shape.

    What is transparent becomes white.

    Args:
        path: of the file.
        shape: `(C, H, W)`.
        value_range: the values that become 0 and 255 where the file has more than 8 bits per channel; empty for those
            of its bit depth; `None` for the rule of models that stored no range: the high byte of 16 bits, and
            floats cut to 0..255.

    Raises:
        UnreadableImageError: it cannot be read, is not a regular file, has more pixels than PIL's limit, or pixels that
            are NaN or infinite.
    """
    channels, height, width = shape
    with opened_image(path) as picture:
        if value_range is not None and over_8_bits(picture):
            picture = to_8_bits(read_values(picture, path), value_range)
        else:
            picture.draft("L" if channels == 1 else "RGB", (width, height))  # a large JPEG at less than its size
            picture = upright(picture)
        coloured = in_colours(picture, channels)
        if coloured.size != (width, height):
            coloured = ImageOps.fit(coloured, (width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(coloured)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def read_extremes(path: Path) -> Range:
    """Return the lowest and the highest value of an image over 8 bits per channel.

    Returns:
        NaN twice where it has 8 bits, which costs a look at the file's head; infinity twice where it is unreadable.
    """
    try:
        with opened_image(path) as picture:
            return extremes(read_values(picture, path)) if over_8_bits(picture) else (math.nan, math.nan)
    except UnreadableImageError:  # reported when its pixels are read
        return math.inf, math.inf


@contextmanager
def opened_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file; what fails until it is closed becomes an error that names the file.

    Raises:
        UnreadableImageError: see `read_image`.
    """
    try:
        check_regular(path)
        check_format(path)
        with quiet(), Image.open(path) as picture:
            check_pixels(picture)
            yield picture
    except Exception as error:  # every format fails in its own way
        raise UnreadableImageError(f"{path}: {reason(error, path)}") from error


def check_regular(path: Path) -> None:
    """Raise an OSError for a pipe or a device, which might be waited for or read for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("no regular file")


def check_format(path: Path) -> None:
    """Raise an OSError for a format of `CONVERTIBLE`, unless a plugin of Pillow reads it."""
    ending = path.suffix.lower()
    if ending in CONVERTIBLE and ending not in Image.registered_extensions():
        remedy = "install pillow-heif, or convert it" if CONVERTIBLE[ending] == "HEIC" else "convert it"
        raise OSError(f"{CONVERTIBLE[ending]} is not supported: {remedy} to JPEG or PNG")


def check_pixels(picture: Image.Image) -> None:
    """Raise an error for a picture of more pixels than PIL's limit, which a small file may unpack to.

    PIL itself only warns up to twice the limit, and a warning cannot be made an error in one thread alone.
    """
    count = math.prod(picture.size)
    if Image.MAX_IMAGE_PIXELS is not None and count > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError(f"{count}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from the screen what PIL has to say of odd files that it can read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_colours(picture: Image.Image, channels: int) -> Image.Image:
    """Return the picture in grey (1) or RGB (3), 8 bits a channel."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        see_through = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", see_through.size, "white"), see_through)
    return picture.convert("L" if channels == 1 else "RGB")


def reason(error: Exception, path: Path) -> str:
    """Return why an image cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        with path.open("rb") as file:
            head = file.read(4)
        if head in TIFF:
            return (
                "a TIFF that Pillow cannot read, of 64-bit numbers for example; convert it to 16 bits or 32-bit floats"
            )
        return "not an image" if head else "empty"
    if isinstance(error, Image.DecompressionBombError):  # ours, or PIL's where it is twice the limit
        found = re.search(r"\d+", str(error))
        count = f"{int(found[0]):,}" if found else "too many"
        return f"{count} pixels, more than the limit of {Image.MAX_IMAGE_PIXELS:,}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
