"""Anyone's pictures: a folder of class folders."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainyard.data.decoded import Decoded, decode
from trainyard.data.folder_listing import FolderListing, ImageFile, list_folder
from trainyard.data.image_files import ImageFiles
from trainyard.data.image_shape import common_shape
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.errors import ConfigError, listing

log = logging.getLogger(__name__)


class ImageFolder(DataModule):
    """Images in class folders: `ROOT/<class>/...`, or `ROOT/train/<class>/...`, `ROOT/test/...`, maybe `ROOT/val/...`.

    Args:
        root: the folder.
        image_size: height and width of the images as the model gets them; `None` for the size of the files where all
            have one, else for a square of their usual smaller side, 224 at most.
        channels: 1 for grey, 3 for colour; `None` for grey if all are.
        on_error: `raise` to stop at files that cannot be read, at classes that are empty and at classes that training
            lacks; `skip` to leave them out, count them in the log and in the run's result.
        cache: folder for decoded images; `~` is the home directory.
        shared: as in `DataModule`.

    Raises:
        ConfigError: no such folder, no two classes, or what `on_error` stops at, with all paths.
    """

    kind = "images"

    def __init__(
        self,
        root: str,
        cache: str,
        image_size: int | None = None,
        channels: int | None = None,
        on_error: str = "raise",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.root = Path(root).expanduser()
        self.cache = Path(cache).expanduser()
        self.image_size = image_size
        self.channels = channels
        self.on_error = on_error

    def read(self) -> dict[str, Examples]:
        """Return the images of each split that the folder has, decoded, or as files if they don't fit in memory."""
        found = list_folder(self.root)
        self.classes = found.classes
        paths = [self.root / file.path for file in found.files]
        shape = common_shape(paths, self.image_size, self.channels)
        decoded = decode(paths, shape, self.cache, self.fits(len(paths), shape), self.num_workers)
        self.report_problems(found, decoded)
        self.digests = [digest.tobytes() for digest in decoded.digests]
        readable = np.array([position not in decoded.errors for position in range(len(paths))])
        files = ImageFiles(np.array([str(path) for path in paths]), decoded.sums, shape)
        pictures = files if decoded.pixels is None else decoded.pixels
        whole = Examples(pictures, labels_of(found.files), torch.arange(len(paths)))
        splits = np.array([file.split for file in found.files])
        chosen = {name: np.flatnonzero(readable & (splits == name)) for name in ("train", "val", "test")}
        return {name: whole.subset(torch.from_numpy(index)) for name, index in chosen.items() if len(index)}

    def report_problems(self, found: FolderListing, decoded: Decoded) -> None:
        """Raise one error that names all that is wrong with the folder, or count it."""
        broken = [f"{found.files[position].path} ({text})" for position, text in decoded.errors.items()]
        problems = {"cannot be read": broken, "no images": found.empty, "not in train": found.unknown}
        wrong = {problem: names for problem, names in problems.items() if names}
        if wrong and self.on_error == "raise":
            lines = "".join(f"\n  {problem}: {listing(names, 20)}" for problem, names in wrong.items())
            raise ConfigError(
                f"data.root={self.root}: {sum(map(len, wrong.values()))} problems{lines}\n"
                "  accepted: a folder without them, or data.on_error=skip to leave them out"
            )
        self.report["skipped_files"] = len(broken)
        for problem, names in wrong.items():
            log.warning("data.on_error=skip: %d left out, %s: %s", len(names), problem, listing(names, 20))
        if found.others:
            log.info("%d files of %s are no images by their names", found.others, self.root)

    def prepare(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Count the test images that are trained on too."""
        contents = [{self.digests[number] for number in ids_of(parts[name])} for name in ("train", "test")]
        twice = sum(self.digests[number] in contents[0] for number in ids_of(parts["test"])) if contents[1] else 0
        self.report["train_test_duplicates"] = twice
        if twice:
            log.warning("%d of %d test images are exact duplicates of training images", twice, len(parts["test"]))
        return parts


def labels_of(files: Sequence[ImageFile]) -> Tensor:
    """Return the label of each file, int64 `[N]`."""
    return torch.tensor([file.label for file in files])


def ids_of(examples: Examples) -> list[int]:
    """Return which files these examples are."""
    assert examples.ids is not None
    return examples.ids.tolist()
