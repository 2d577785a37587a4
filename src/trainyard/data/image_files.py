"""Images that stay in their files until they are needed."""

import math
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor


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
    """

    paths: NDArray[np.str_]
    sums: Tensor
    contents: NDArray[np.uint8]
    image_shape: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """`(N, C, H, W)`."""
        return (len(self.paths), *self.image_shape)

    def __getitem__(self, index: Tensor) -> "ImageFiles":
        chosen = index.numpy()
        return ImageFiles(self.paths[chosen], self.sums[index], self.contents[chosen], self.image_shape)

    def read(self, index: Tensor) -> Tensor:
        """Return the pictures at these positions, uint8 `[B, C, H, W]`.

        Raises:
            UnreadableImageError: a file that is gone or no longer an image.
        """
        return torch.from_numpy(
            np.stack([read_image(Path(path), self.image_shape) for path in self.paths[index.numpy()]])
        )


def read_image(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return a picture as uint8 `(C, H, W)`: turned as its camera says, cut to the middle and resized to the shape.

    What is transparent becomes white, 16 bits a channel become 8, numbers with a point are cut to 0..255.

    Raises:
        UnreadableImageError: it cannot be read; it is no regular file, or has more pixels than PIL's limit.
    """
    channels, height, width = shape
    try:
        check_regular(path)
        with quiet(), Image.open(path) as picture:
            check_pixels(picture)
            picture.draft("L" if channels == 1 else "RGB", (width, height))  # a large JPEG at less than its size
            picture.load()
            coloured = in_colours(upright(picture), channels)
            if coloured.size != (width, height):
                coloured = ImageOps.fit(coloured, (width, height), Image.Resampling.BICUBIC)
            pixels = np.asarray(coloured)
    except Exception as error:  # every format fails in its own way
        raise UnreadableImageError(f"{path}: {reason(error, path)}") from error
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def check_regular(path: Path) -> None:
    """Raise an OSError for a pipe or a device, which might be waited for or read for ever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("no regular file")


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


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture that is loaded as its camera was held; as it is where the note of that is damaged."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # it fails in as many ways as it can be damaged, and the picture is sound
        return picture


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
        return "not an image" if path.stat().st_size else "empty"
    if isinstance(error, Image.DecompressionBombError):  # ours, or PIL's where it is twice the limit
        found = re.search(r"\d+", str(error))
        count = f"{int(found[0]):,}" if found else "too many"
        return f"{count} pixels, more than the limit of {Image.MAX_IMAGE_PIXELS:,}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__
