"""The data sets that papers compare on, by torchvision's own loaders."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.errors import reject
from trainyard.network import check_reachable

# Each with the folder below the root and the files that torchvision looks for there; EMNIST's names lack the variant.
IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
FILES = {
    "MNIST": ("MNIST/raw", IDX),
    "FashionMNIST": ("FashionMNIST/raw", IDX),
    "KMNIST": ("KMNIST/raw", IDX),
    "EMNIST": ("EMNIST/raw", ("gzip.zip",)),
    "CIFAR10": (".", ("cifar-10-python.tar.gz",)),
    "CIFAR100": (".", ("cifar-100-python.tar.gz",)),
    "SVHN": (".", ("train_32x32.mat", "test_32x32.mat")),
    "STL10": (".", ("stl10_binary.tar.gz",)),
}
SPLIT_BY_NAME = ("SVHN", "STL10")  # the others take train=True


class TorchvisionSet(DataModule):
    """One of torchvision's data sets, downloaded when it is missing, with its official test split.

    Args:
        name: of its class in `torchvision.datasets`, one of `FILES`.
        root: folder of the files, relative to the current one.
        variant: which of EMNIST's; `None` for the others.
        shared: as in `DataModule`.

    Raises:
        ConfigError: the files are not there and cannot be downloaded, or are damaged.
    """

    kind = "images"

    def __init__(self, name: str, root: str, variant: str | None = None, **shared: Any) -> None:
        super().__init__(**shared)
        self.set_name = name
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
        """Return torchvision's data set, downloaded if it is missing."""
        from torchvision import datasets

        place, files = FILES[self.set_name]
        folder = (self.root / place).resolve()
        which: dict[str, Any] = {"split": split} if self.set_name in SPLIT_BY_NAME else {"train": split == "train"}
        if self.variant is not None:
            which["split"] = self.variant
        make = getattr(datasets, self.set_name)
        try:
            return make(self.root, **which)
        except RuntimeError:  # not found, or damaged
            pass
        except ModuleNotFoundError as error:
            problem = f"{self.set_name} needs the package {error.name}"
            raise reject("data.name", self.set_name, problem, f"after `pip install {error.name}`") from error
        try:
            check_reachable(source(make))
            return make(self.root, **which, download=True)
        except (OSError, RuntimeError) as error:
            problem = f"{self.set_name} is not in {folder} and cannot be downloaded ({str(error).splitlines()[0]})"
            raise reject("data.root", self.root, problem, f"a folder with {' '.join(files)} in {folder}") from error


def source(dataset: Any) -> str:
    """Return an address that a data set is downloaded from."""
    if hasattr(dataset, "url"):
        return str(dataset.url)
    return str(dataset.mirrors[0] if hasattr(dataset, "mirrors") else dataset.split_list["train"][0])
