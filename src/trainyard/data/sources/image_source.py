"""The base class of sources whose images are files."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cache.decoded_images import DecodedImages, decode_images
from trainyard.data.images.image_files import MAX_SIDE, ImageFiles, common_shape
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Examples
from trainyard.io.errors import config_error, join_limited

log = logging.getLogger(__name__)

ROUNDING = 1e-9  # less than 1 / pixels, the smallest variance of an image that is not constant


class ImageSource(DataModule):
    """Image files, decoded to a common shape.

    Args:
        root: the folder of the files.
        cache: folder for decoded images; `~` is the home directory.
        image_size: height and width of the model's inputs, one number for a square; `None` for the size of the files if
            all have one, else for a square of their median smaller side, at most 224.
        channels: 1 for grey, 3 for colour; `None` for grey if all files are.
        value_range: the values that become black and white in files with more than 8 bits per channel (16-bit integers,
            floats, ...); `None` for the lowest and highest value of the training files.
        on_error: `raise` to stop at files that cannot be used; `skip` to leave them out and count them in the log and
            the run's result.
        shared: arguments of `DataModule`.

    Attributes:
        paths: the files; `Examples.ids` are positions in it.

    Raises:
        ConfigError: an invalid range, only constant training images, or problems that `on_error=raise` does not accept.
    """

    kind = "images"
    paths: Sequence[Path]

    def __init__(
        self,
        root: str,
        cache: str,
        image_size: int | Sequence[int] | None = None,
        channels: int | None = None,
        value_range: Sequence[float] | None = None,
        on_error: str = "raise",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.root = Path(root).expanduser()
        self.cache = Path(cache).expanduser()
        self.image_size = image_size
        self.channels = channels
        self.given_range = None if value_range is None else tuple(map(float, value_range))
        self.on_error = on_error
        if self.given_range and self.given_range[0] >= self.given_range[1]:
            problem = "black must be lower than white"
            raise config_error("data.value_range", list(self.given_range), problem, "[low,high]")

    def decode(self, paths: Sequence[Path], training: NDArray[np.bool_]) -> DecodedImages:
        """Decode the files; `training` are those that determine the value range, bool `[N]`."""
        self.paths = paths
        self.shape = shape = self.infer_shape(paths)
        given = self.given_range if self.model_spec is None else self.model_spec.value_range
        range_files = np.flatnonzero(training) if given is None else None
        fits = self.placement.fits(len(paths), shape)
        decoded = decode_images(paths, shape, self.cache, fits, self.placement.workers, given or (), range_files)
        self.value_range, self.digests = decoded.value_range, decoded.digests
        return decoded

    def examples(self, decoded: DecodedImages, targets: Tensor, training: NDArray[np.bool_]) -> Examples:
        """Return all files as examples: decoded, or as files if they do not fit in memory.

        The values of the `training` files, bool `[N]`, are checked.
        """
        if self.model_spec is None:
            names = [self.name_of(position) for position in np.flatnonzero(training).tolist()]
            self.check_values(names, decoded.sums[torch.from_numpy(training)])
        paths = np.array(self.paths, dtype=str)
        files = ImageFiles(paths, decoded.sums, self.digests, self.shape, self.value_range)
        return Examples(files if decoded.pixels is None else decoded.pixels, targets, torch.arange(len(paths)))

    def name_of(self, position: int) -> str:
        """Return the path of a file below `root`."""
        return str(self.paths[position]).removeprefix(os.path.join(self.root, ""))  # noqa: PTH118

    def infer_shape(self, paths: Sequence[Path]) -> tuple[int, int, int]:
        """Return `(C, H, W)` of the model's inputs."""
        if self.model_spec is not None:
            channels, height, width = self.model_spec.input_shape
            return channels, height, width
        shape = common_shape(paths, self.image_size, self.channels)
        if self.image_size is None and max(shape) == MAX_SIDE:
            text = "images     resized to %dx%d pixels; data.image_size=%d takes a quarter of the time from scratch"
            log.info(text, *shape[1:], MAX_SIDE // 2)
        return shape

    def check_values(self, names: Sequence[str], sums: Tensor) -> None:
        """Log the value range; raise an error if all training images are constant, and warn if most almost are."""
        pixels = self.shape[1] * self.shape[2]
        mean, square = (sums.double() / pixels).unbind(-1)
        variances = square - mean.square()  # of the values of each channel, from 0 to 255, [N, C]
        if len(sums) and pixels > 1 and (variances < ROUNDING).all():
            problem = f"all {len(sums)} training images are constant, each of a single colour: {join_limited(names)}"
            if self.on_error == "raise":
                accepted = "images that vary, or data.on_error=skip to train on these"
                raise config_error("data.root", self.root, problem, accepted)
            log.warning("data.root=%s: %s", self.root, problem)
        if self.value_range:
            log.info("values     %.7g to %.7g in the image files become black to white", *self.value_range)
            if len(sums) and variances.mean(1).median() < 1:
                text = "half of the training images vary by less than 1/256 of the range from %.7g to %.7g"
                log.warning(f"{text}; if these values are outliers, set data.value_range=[LOW,HIGH]", *self.value_range)

    def preprocess(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Count the test images that are also training images."""
        if self.model_spec is None:
            train, test = set(self.file_digests(parts["train"])), self.file_digests(parts["test"])
            self.report["train_test_duplicates"] = count = sum(digest in train for digest in test)
            if count:
                log.warning("%d of %d test images are exact duplicates of training images", count, len(test))
        return parts

    def fingerprint_inputs(self, part: Examples) -> Tensor:
        """Return the digests of the files of a split, uint8 `[N, 16]`."""
        assert part.ids is not None
        return torch.from_numpy(self.digests[part.ids.numpy()])

    def file_digests(self, part: Examples) -> list[bytes]:
        """Return the digests of the files of a split."""
        return [digest.tobytes() for digest in self.fingerprint_inputs(part).numpy()]
