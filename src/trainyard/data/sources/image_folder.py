"""Image data sets with one folder per class."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.cache.decoded_images import DecodedImages
from trainyard.data.images.folder_listing import LAYOUT, SPLITS, FolderListing, list_folder, similar_names
from trainyard.data.loading.spec import Examples
from trainyard.data.sources.image_source import ImageSource
from trainyard.io.errors import ConfigError, config_error, join_limited

log = logging.getLogger(__name__)


class ImageFolder(ImageSource):
    """Images in `ROOT/<class>/...`, or in `ROOT/train/<class>/...`, `ROOT/test/...` and optionally `ROOT/val/...`.

    With `on_error=skip`, classes without images and classes without training images are left out, too.

    Raises:
        ConfigError: the folder does not exist, has fewer than two classes, or see `ImageSource`.
    """

    def read(self) -> dict[str, Examples]:
        """Return the images of each split: decoded, or as files if they do not fit in memory."""
        folder = list_folder(self.root)
        splits = np.array([file.split for file in folder.files])
        decoded = self.decode([self.root / file.path for file in folder.files], splits == "train")
        self.report_problems(folder, decoded)
        training = decoded.readable & (splits == "train")
        labels = self.find_labels(folder, training)
        whole = self.examples(decoded, torch.from_numpy(labels), training)
        usable = decoded.readable & (labels >= 0)
        positions = {name: np.flatnonzero(usable & (splits == name)) for name in SPLITS}
        return {name: whole.subset(torch.from_numpy(index)) for name, index in positions.items() if len(index)}

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
