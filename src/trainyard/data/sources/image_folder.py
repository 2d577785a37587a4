"""Image data sets with one folder per class."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainyard.data.cache.decoded_images import DecodedImages, decode_images
from trainyard.data.images.folder_listing import LAYOUT, SPLITS, FolderListing, list_folder, similar_names
from trainyard.data.images.image_files import MAX_SIDE, ImageFiles, common_shape
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Examples
from trainyard.io.errors import ConfigError, config_error, join_limited

log = logging.getLogger(__name__)

ROUNDING = 1e-9  # less than 1 / pixels, the smallest variance of an image that is not constant


class ImageFolder(DataModule):
    """Images in `ROOT/<class>/...`, or in `ROOT/train/<class>/...`, `ROOT/test/...` and optionally `ROOT/val/...`.

    Args:
        root: the folder.
        cache: folder for decoded images; `~` is the home directory.
        image_size: height and width of the model's inputs, one number for a square; `None` for the size of the files if
            all have one, else for a square of their median smaller side, at most 224.
        channels: 1 for grey, 3 for colour; `None` for grey if all files are.
        value_range: the values that become black and white in files with more than 8 bits per channel (16-bit integers,
            floats, ...); `None` for the lowest and highest value of the training files.
        on_error: `raise` to stop at unreadable files, empty classes and classes without training images; `skip` to
            leave them out and count them in the log and the run's result.
        shared: arguments of `DataModule`.

    Raises:
        ConfigError: the folder does not exist, has fewer than two classes, only constant training images, an invalid
            range, or problems that `on_error=raise` does not accept.
    """

    kind = "images"

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

    def read(self) -> dict[str, Examples]:
        """Return the images of each split: decoded, or as files if they do not fit in memory."""
        folder = list_folder(self.root)
        paths = [self.root / file.path for file in folder.files]
        splits = np.array([file.split for file in folder.files])
        shape = self.infer_shape(paths)
        given = self.given_range if self.model_spec is None else self.model_spec.value_range
        range_files = np.flatnonzero(splits == "train") if given is None else None
        fits = self.placement.fits(len(paths), shape)
        decoded = decode_images(paths, shape, self.cache, fits, self.placement.workers, given or (), range_files)
        self.value_range, self.digests = decoded.value_range, decoded.digests
        self.report_problems(folder, decoded)
        training = decoded.readable & (splits == "train")
        labels = self.find_labels(folder, training)
        if self.model_spec is None:
            self.check_values(np.array([file.path for file in folder.files])[training], decoded.sums[training], shape)
        files = ImageFiles(np.array(paths, dtype=str), decoded.sums, self.digests, shape, self.value_range)
        images = files if decoded.pixels is None else decoded.pixels
        whole = Examples(images, torch.from_numpy(labels), torch.arange(len(paths)))
        usable = decoded.readable & (labels >= 0)
        positions = {name: np.flatnonzero(usable & (splits == name)) for name in SPLITS}
        return {name: whole.subset(torch.from_numpy(index)) for name, index in positions.items() if len(index)}

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

    def check_values(self, names: Sequence[str], sums: Tensor, shape: tuple[int, int, int]) -> None:
        """Log the value range; raise an error if all training images are constant, and warn if most almost are."""
        pixels = shape[1] * shape[2]
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

    def find_labels(self, folder: FolderListing, training: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Set the classes, and return the label of each file, int64 `[N]`; -1 if its class has no training image."""
        found = np.array([file.label for file in folder.files])
        used = np.unique(found[training])
        self.classes = tuple(folder.classes[label] for label in used)
        if self.model_spec is not None:
            self.classes = self.model_spec.classes
        others = [name for name in folder.classes if name not in self.classes]
        if others and self.model_spec is not None:
            problem = f"classes that training lacks: {join_limited(others)}"
            raise config_error("data.root", self.root, problem, join_limited(self.classes))
        if len(self.classes) < 2:
            readable = join_limited(self.classes) or "none"
            problem = f"classes with a readable training image: {readable}, at least two are needed"
            raise config_error("data.root", self.root, problem, LAYOUT)
        if others:
            log.warning("data.on_error=skip: classes without a readable training image: %s", join_limited(others))
        self.report["skipped_folders"] += len(others)
        labels = [self.classes.index(name) if name in self.classes else -1 for name in folder.classes]
        return np.array(labels, dtype=np.int64)[found]  # type: ignore[no-any-return]

    def report_problems(self, folder: FolderListing, decoded: DecodedImages) -> None:
        """Raise one error that lists all problems of the folder, or count and log them."""
        broken = [f"{folder.files[position].path} ({text})" for position, text in decoded.errors.items()]
        problems = {"cannot be read": broken, "no images": folder.empty, "not in train": folder.unknown}
        problems = {problem: names for problem, names in problems.items() if names}
        if problems and self.on_error == "raise":
            lines = "".join(f"\n  {problem}: {join_limited(names)}" for problem, names in problems.items())
            count = sum(map(len, problems.values()))
            raise ConfigError(
                f"data.root={self.root}: {count} problem{'s' if count > 1 else ''}{lines}\n"
                "  accepted: a folder without them, or data.on_error=skip to leave them out"
            )
        self.report |= {"skipped_files": len(broken), "skipped_folders": len(folder.empty) + len(folder.unknown)}
        for problem, names in problems.items():
            log.warning("data.on_error=skip: %d left out, %s: %s", len(names), problem, join_limited(names))
        if folder.unused:
            text = "data.root=%s: left out, in no split or no class folder: %s"
            log.warning(text, self.root, join_limited(folder.unused))
        if folder.repeated:
            text = "data.root=%s: left out, links to images that are used at another place: %s"
            log.warning(text, self.root, join_limited(folder.repeated))
        if similar := similar_names(folder.classes):
            text = "data.root=%s: classes whose names differ only in case or whitespace: %s"
            log.warning(text, self.root, join_limited(similar))
        if folder.other_files:
            counts = join_limited(f"{count} {suffix}" for suffix, count in folder.other_files.most_common())
            log.info("data.root=%s: left out, not images: %s", self.root, counts)

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
