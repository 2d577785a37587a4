"""Anyone's pictures: a folder of class folders."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.decoded import Decoded, decode
from trainyard.data.folder_listing import LAYOUT, SPLITS, FolderListing, ending_counts, list_folder, look_alike
from trainyard.data.image_files import ImageFiles
from trainyard.data.image_shape import LARGEST, common_shape
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.data.statistics import constant_images
from trainyard.errors import ConfigError, listing, reject

log = logging.getLogger(__name__)


class ImageFolder(DataModule):
    """Images in class folders: `ROOT/<class>/...`, or `ROOT/train/<class>/...`, `ROOT/test/...`, maybe `ROOT/val/...`.

    Args:
        root: the folder.
        image_size: height and width of the images as the model gets them, one number for a square; `None` for the size
            of the files where all have one, else for a square of their usual smaller side, 224 at most.
        channels: 1 for grey, 3 for colour; `None` for grey if all are.
        value_range: the values that become black and white in files of more than 8 bits per channel (16-bit integers,
            floats, ...); `None` for the lowest and highest value of the files from which training images are taken.
        on_error: `raise` to stop at files that cannot be read, at classes that are empty and at classes that training
            lacks; `skip` to leave them out, count them in the log and in the run's result.
        cache: folder for decoded images; `~` is the home directory.
        shared: as in `DataModule`.

    Raises:
        ConfigError: no such folder, no two classes, training images that are all constant, a range that is none, or
            what `on_error` stops at, with all paths.
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
            raise reject("data.value_range", list(self.given_range), "black must be lower than white", "[low,high]")

    def read(self) -> dict[str, Examples]:
        """Return the images of each split that the folder has, decoded, or as files if they don't fit in memory."""
        found = list_folder(self.root)
        paths = [self.root / file.path for file in found.files]
        splits = np.array([file.split for file in found.files])
        shape = self.shape_of(paths)
        decoded = self.decode(paths, shape, splits == "train")
        self.report_problems(found, decoded)
        self.digests = [digest.tobytes() for digest in decoded.digests]
        readable = np.array([position not in decoded.errors for position in range(len(paths))])
        training = readable & (splits == "train")
        labels = self.labels_of(found, training)
        if self.known is None:
            self.check_values([file.path for file in found.files], decoded, training, shape)
        names = np.array([str(path) for path in paths])
        files = ImageFiles(names, decoded.sums, decoded.digests, shape, decoded.value_range)
        pictures = files if decoded.pixels is None else decoded.pixels
        whole = Examples(pictures, torch.from_numpy(labels), torch.arange(len(paths)))
        usable = readable & (labels >= 0)
        chosen = {name: np.flatnonzero(usable & (splits == name)) for name in SPLITS}
        return {name: whole.subset(torch.from_numpy(index)) for name, index in chosen.items() if len(index)}

    def shape_of(self, paths: Sequence[Path]) -> tuple[int, int, int]:
        """Return `(C, H, W)` of the images as a model gets them."""
        if self.known is not None:
            channels, height, width = self.known.input_shape
            return channels, height, width
        channels, height, width = common_shape(paths, self.image_size, self.channels)
        if self.image_size is None and max(height, width) == LARGEST:
            log.info(
                "images     large, used at %dx%d pixels: data.image_size=%d needs a quarter of the time from scratch",
                *(height, width, LARGEST // 2),
            )
        return channels, height, width

    def decode(self, paths: Sequence[Path], shape: tuple[int, int, int], training: NDArray[np.bool_]) -> Decoded:
        """Decode the files by the value range of a trained model, the given one, or that of the training files."""
        given = self.given_range if self.known is None else self.known.value_range
        places = np.flatnonzero(training).tolist() if self.known is None and given is None else None
        fits = self.residence.fits(len(paths), shape)
        decoded = decode(paths, shape, self.cache, fits, self.residence.workers, given, places)
        self.value_range = decoded.value_range
        return decoded

    def check_values(
        self, names: Sequence[str], decoded: Decoded, training: NDArray[np.bool_], shape: tuple[int, int, int]
    ) -> None:
        """Report the value range; stop where all training images are constant, warn where few values use the range."""
        sums, pixels = decoded.sums[torch.from_numpy(training)], shape[1] * shape[2]
        if len(sums) and pixels > 1 and constant_images(sums, pixels).all():
            files = shown([name for name, used in zip(names, training, strict=True) if used])
            problem = f"all {len(sums)} training images are constant, each of a single colour: {files}"
            if self.on_error == "raise":
                raise reject(
                    "data.root", self.root, problem, "images that vary, or data.on_error=skip to train on these"
                )
            log.warning("data.root=%s: %s", self.root, problem)
        if not self.value_range:
            return
        low, high = self.value_range
        log.info("values     %.7g to %.7g in the image files become black to white", low, high)
        mean, square = (sums.double().sum(1) / (shape[0] * pixels)).T
        if len(sums) and (square - mean.square()).median() < 1:  # of variances of values from 0 to 255
            log.warning(
                "half of the training images vary by less than 1/256 of the range from %.7g to %.7g: if values "
                "are outliers, give the range of the others: data.value_range=[LOW,HIGH]",
                *(low, high),
            )

    def labels_of(self, found: FolderListing, trained_on: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the label of each file, int64 `[N]`; -1 where training has none of its class, which is left out."""
        labels = np.array([file.label for file in found.files])
        if self.known is not None:
            known: NDArray[np.int64] = self.known_labels(found)[labels]
            return known
        kept = np.unique(labels[trained_on])  # in order
        self.classes = tuple(found.classes[label] for label in kept)
        lost = [name for name in found.classes if name not in self.classes]
        if len(kept) < 2:
            problem = f"classes with a training image that can be read: {shown(self.classes) or 'none'}, not two"
            raise reject("data.root", self.root, problem, LAYOUT)
        if lost:
            log.warning("data.on_error=skip: classes without a training image that can be read: %s", shown(lost))
        self.report["skipped_folders"] += len(lost)
        return np.where(np.isin(labels, kept), np.searchsorted(kept, labels), -1)

    def known_labels(self, found: FolderListing) -> NDArray[np.int64]:
        """Return what a trained model calls each class of the folder, int64 `[classes]`."""
        assert self.known is not None
        self.classes = self.known.classes
        strange = [name for name in found.classes if name not in self.classes]
        if strange:
            problem = f"classes that training lacks: {shown(strange)}"
            raise reject("data.root", self.root, problem, shown(self.classes))
        return np.array([self.classes.index(name) for name in found.classes], dtype=np.int64)

    def report_problems(self, found: FolderListing, decoded: Decoded) -> None:
        """Raise one error that names all that is wrong with the folder, or count it."""
        broken = [f"{found.files[position].path} ({text})" for position, text in decoded.errors.items()]
        problems = {"cannot be read": broken, "no images": found.empty, "not in train": found.unknown}
        wrong = {problem: names for problem, names in problems.items() if names}
        if wrong and self.on_error == "raise":
            lines = "".join(f"\n  {problem}: {shown(names)}" for problem, names in wrong.items())
            count = sum(map(len, wrong.values()))
            raise ConfigError(
                f"data.root={self.root}: {count} problem{'s' if count > 1 else ''}{lines}\n"
                "  accepted: a folder without them, or data.on_error=skip to leave them out"
            )
        self.report |= {"skipped_files": len(broken), "skipped_folders": len(found.empty) + len(found.unknown)}
        for problem, names in wrong.items():
            log.warning("data.on_error=skip: %d left out, %s: %s", len(names), problem, shown(names))
        if found.outside:
            log.warning("data.root=%s: left out, in no split or no class folder: %s", self.root, shown(found.outside))
        if found.repeated:
            log.warning(
                "data.root=%s: left out, links to images that are used at another place: %s",
                *(self.root, shown(found.repeated)),
            )
        if alike := look_alike(found.classes):
            log.warning(
                "data.root=%s: classes whose names differ only in case or whitespace: %s", self.root, shown(alike)
            )
        if found.others:
            log.info("files of %s that are not images by their names: %s", self.root, ending_counts(found.others))

    def prepare(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Count the test images that are trained on too; a trained model was trained on those of its run."""
        if self.known is not None:
            return parts
        contents = [{self.digests[number] for number in ids_of(parts[name])} for name in ("train", "test")]
        twice = sum(self.digests[number] in contents[0] for number in ids_of(parts["test"])) if contents[1] else 0
        self.report["train_test_duplicates"] = twice
        if twice:
            log.warning("%d of %d test images are exact duplicates of training images", twice, len(parts["test"]))
        return parts


def shown(names: Sequence[str]) -> str:
    """Return the names, or the first of many, in text that any screen and log takes; a file's need not be text."""
    return listing(names, 20).encode(errors="backslashreplace").decode()


def ids_of(examples: Examples) -> list[int]:
    """Return which files these examples are."""
    assert examples.ids is not None
    return examples.ids.tolist()
