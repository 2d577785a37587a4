"""The data sets that papers compare on, by torchvision's own loaders."""

import contextlib
import importlib
import logging
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.errors import listing, reject
from trainyard.network import check_reachable, link_or_copy, staging_folder

log = logging.getLogger(__name__)

# Each with the folder below the root where torchvision keeps the files that it downloads.
FOLDERS = {
    "MNIST": "MNIST/raw",
    "FashionMNIST": "FashionMNIST/raw",
    "KMNIST": "KMNIST/raw",
    "EMNIST": "EMNIST/raw",
    "CIFAR10": ".",
    "CIFAR100": ".",
    "SVHN": ".",
    "STL10": ".",
}
SPLIT_BY_NAME = ("SVHN", "STL10")  # the others take train=True
# What torchvision raises for files that are not there or are damaged, each of its formats in its own way.
UNUSABLE = (RuntimeError, ValueError, AssertionError, LookupError)


class TorchvisionSet(DataModule):
    """One of torchvision's data sets, downloaded when it is missing, with its official test split.

    Args:
        name: of its class in `torchvision.datasets`: MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, SVHN or
            STL10.
        root: folder of the files, relative to the current one.
        variant: which of EMNIST's; `None` for the others.
        shared: as in `DataModule`.

    Raises:
        ConfigError: no such set or variant, or its files are not there, or damaged, and cannot be downloaded.
    """

    kind = "images"

    def __init__(self, name: str, root: str, variant: str | None = None, **shared: Any) -> None:
        from torchvision import datasets

        super().__init__(**shared)
        if name not in FOLDERS:
            raise reject("data.name", name, "no such data set here", listing(FOLDERS))
        variants = datasets.EMNIST.splits if name == "EMNIST" else (None,)
        if variant not in variants:
            raise reject("data.variant", variant, f"{name} has no such variant", listing(v or "null" for v in variants))
        self.set_name = name
        self.make = getattr(datasets, name)
        self.root = Path(root).expanduser()
        self.variant = variant

    def read(self) -> dict[str, Examples]:
        """Return the images of the official `train` and `test` splits."""
        parts = {}
        for split in ("train", "test"):
            stored = self.load(split)
            labels = torch.as_tensor(stored.targets if hasattr(stored, "targets") else stored.labels)
            names = getattr(stored, "classes", None) or [str(label) for label in range(10)]  # SVHN has none
            first = 1 if names[0] == "N/A" else 0  # EMNIST's letters count from 1
            self.classes = tuple(name.partition(" - ")[0] for name in names[first:])  # MNIST's are like "7 - seven"
            parts[split] = Examples(self.images(stored.data), labels.long() - first)
        return parts

    def images(self, stored: Any) -> Tensor:
        """Return images as uint8 `[N, C, H, W]`, whichever way round they are stored."""
        images = torch.as_tensor(stored)
        if images.ndim == 3:
            upright = images.mT if self.set_name == "EMNIST" else images  # EMNIST lies on its side
            return upright[:, None].contiguous()
        return (images.permute(0, 3, 1, 2) if images.shape[-1] == 3 else images).contiguous()

    def load(self, split: str) -> Any:
        """Return torchvision's data set, downloaded if it is missing or damaged."""
        if self.set_name == "SVHN":
            try:
                importlib.import_module("scipy.io")
            except ModuleNotFoundError as error:
                problem = "its files are read by the package scipy, which is not installed"
                raise reject("data.name", self.set_name, problem, "SVHN after `pip install scipy`") from error
        with contextlib.suppress(*UNUSABLE):
            return self.stored(self.root, split)
        self.fetch(split)
        return self.stored(self.root, split)

    def stored(self, root: Path, split: str, download: bool = False) -> Any:
        """Return torchvision's data set below a folder."""
        which: dict[str, Any] = {"split": split} if self.set_name in SPLIT_BY_NAME else {"train": split == "train"}
        if self.variant is not None:
            which["split"] = self.variant
        return self.make(root, **which, download=download)

    def fetch(self, split: str) -> None:
        """Unpack the set's archives where they lie, or else download them; nothing is kept of a part of it."""
        from torchvision.datasets.utils import check_integrity

        place, archives = FOLDERS[self.set_name], archives_of(self.make)
        folder = (self.root / place).resolve()
        present = [name for name in archives if (folder / name).is_file()]
        whole = [name for name in present if check_integrity(folder / name, archives[name])]
        try:
            if len(whole) < len(archives):
                check_reachable(source(self.make))
                log.info("downloading %s to %s", self.set_name, folder)
            with staging_folder(self.root) as draft:
                with contextlib.suppress(*UNUSABLE):
                    self.stored(self.root, split)
                    return  # another process came first
                for name in whole:
                    link_or_copy(folder / name, draft / place / name)
                self.stored(draft, split, download=True)
        except (*UNUSABLE, OSError, HTTPException) as error:
            damaged = [name for name in present if name not in whole]
            state = f"{listing(damaged)} in {folder} is damaged" if damaged else f"{self.set_name} is not in {folder}"
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            accepted = f"{folder} with {' '.join(archives)}"
            raise reject("data.root", self.root, f"{state} and cannot be downloaded ({reason})", accepted) from error


def archives_of(dataset: Any) -> dict[str, str]:
    """Return the files that a data set is downloaded as, each with its MD5."""
    if hasattr(dataset, "split_list"):
        return {name: md5 for _, name, md5 in (dataset.split_list["train"], dataset.split_list["test"])}
    if hasattr(dataset, "url"):
        return {dataset.url.rpartition("/")[2]: getattr(dataset, "tgz_md5", None) or dataset.md5}
    return dict(dataset.resources)


def source(dataset: Any) -> str:
    """Return an address that a data set is downloaded from."""
    if hasattr(dataset, "url"):
        return str(dataset.url)
    return str(dataset.mirrors[0] if hasattr(dataset, "mirrors") else dataset.split_list["train"][0])
