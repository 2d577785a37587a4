"""Data sets of torchvision, downloaded on first use."""

import contextlib
import logging
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Examples
from trainyard.io.downloads import check_reachable, link_or_copy, staging_folder
from trainyard.io.errors import config_error, join_limited

log = logging.getLogger(__name__)

# The folder below the root in which torchvision keeps the files of each data set.
FOLDERS = {name: f"{name}/raw" for name in ("MNIST", "FashionMNIST", "KMNIST", "EMNIST")}
FOLDERS |= dict.fromkeys(("CIFAR10", "CIFAR100", "SVHN", "STL10"), ".")
# Raised by torchvision for missing or damaged files.
UNUSABLE = (RuntimeError, ValueError, AssertionError, LookupError)


class TorchvisionDataset(DataModule):
    """One of torchvision's data sets, with its official test split.

    Args:
        name: of its class: MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, CIFAR100, SVHN or STL10.
        root: folder of the files, relative to the current one.
        variant: of EMNIST; `None` for the others.
        shared: arguments of `DataModule`.

    Raises:
        ConfigError: an unknown data set or variant, or files that are missing or damaged and cannot be downloaded.
    """

    kind = "images"
    downloads = True

    def __init__(self, name: str, root: str, variant: str | None = None, **shared: Any) -> None:
        from torchvision import datasets

        super().__init__(**shared)
        if name not in FOLDERS:
            raise config_error("data.name", name, "unknown data set", join_limited(FOLDERS))
        variants = datasets.EMNIST.splits if name == "EMNIST" else (None,)
        if variant not in variants:
            accepted = join_limited(other or "null" for other in variants)
            raise config_error("data.variant", variant, f"{name} has no such variant", accepted)
        self.dataset_name = name
        self.dataset_class = getattr(datasets, name)
        self.root = Path(root).expanduser()
        self.variant = variant

    def read(self) -> dict[str, Examples]:
        """Return the images of the official `train` and `test` splits."""
        splits = {}
        for split in ("train", "test"):
            dataset = self.load(split)
            labels = torch.as_tensor(dataset.targets if hasattr(dataset, "targets") else dataset.labels)
            names = getattr(dataset, "classes", None) or [str(label) for label in range(10)]  # SVHN has no names
            first = 1 if names[0] == "N/A" else 0  # the labels of EMNIST's letters begin at 1
            self.classes = tuple(name.partition(" - ")[0] for name in names[first:])  # of MNIST: "7 - seven"
            splits[split] = Examples(self.to_images(dataset.data), labels.long() - first)
        return splits

    def to_images(self, stored: Any) -> Tensor:
        """Return images as uint8 `[N, C, H, W]`."""
        images = torch.as_tensor(stored)
        if images.ndim == 3:  # EMNIST stores transposed images
            return (images.mT if self.dataset_name == "EMNIST" else images)[:, None].contiguous()
        return (images.permute(0, 3, 1, 2) if images.shape[-1] == 3 else images).contiguous()

    def load(self, split: str) -> Any:
        """Return torchvision's data set, downloaded if it is missing or damaged."""
        if self.dataset_name == "SVHN" and find_spec("scipy") is None:
            problem = "its files are read by the package scipy, which is not installed"
            raise config_error("data.name", self.dataset_name, problem, "SVHN after `pip install scipy`")
        with contextlib.suppress(*UNUSABLE):
            return self.open(self.root, split)
        self.download(split)
        return self.open(self.root, split)

    def open(self, root: Path, split: str, download: bool = False) -> Any:
        """Return torchvision's data set below a folder."""
        by_name = self.dataset_name in ("SVHN", "STL10")
        options: dict[str, Any] = {"split": split} if by_name else {"train": split == "train"}
        if self.variant is not None:
            options["split"] = self.variant
        return self.dataset_class(root, **options, download=download)

    def download(self, split: str) -> None:
        """Unpack intact archives and download the others; a failure leaves no files."""
        from torchvision.datasets.utils import check_integrity

        subfolder, archives = FOLDERS[self.dataset_name], list_archives(self.dataset_class)
        folder = (self.root / subfolder).resolve()
        intact = [name for name, (_, md5) in archives.items() if check_integrity(folder / name, md5)]
        try:
            if len(intact) < len(archives):
                check_reachable(next(url for name, (url, _) in archives.items() if name not in intact))
                log.info("downloading %s to %s", self.dataset_name, folder)
            with staging_folder(self.root) as draft:
                with contextlib.suppress(*UNUSABLE):
                    self.open(self.root, split)
                    return  # another process has downloaded it
                for name in intact:
                    link_or_copy(folder / name, draft / subfolder / name)
                self.open(draft, split, download=True)
        except (*UNUSABLE, OSError, HTTPException) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            problem = f"{self.dataset_name} is missing or damaged in {folder} and cannot be downloaded ({reason})"
            raise config_error("data.root", self.root, problem, f"{folder} with {' '.join(archives)}") from error


def list_archives(dataset: Any) -> dict[str, tuple[str, str]]:
    """Return the URL and the MD5 of each file that is downloaded for a data set, by its name."""
    if hasattr(dataset, "split_list"):
        return {name: (url, md5) for url, name, md5 in (dataset.split_list["train"], dataset.split_list["test"])}
    if hasattr(dataset, "url"):
        md5 = getattr(dataset, "tgz_md5", None) or dataset.md5
        return {dataset.url.rpartition("/")[2]: (dataset.url, md5)}
    return {name: (dataset.mirrors[0] + name, md5) for name, md5 in dataset.resources}
