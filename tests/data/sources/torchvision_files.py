"""Small unpacked files in the formats of torchvision's data sets."""

import hashlib
import pickle
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from trainyard.data.sources.torchvision_datasets import TorchvisionDataset

COUNT = {"train": 40, "test": 20}
IDX = {"MNIST": 10, "FashionMNIST": 10, "KMNIST": 10, "EMNIST": 47}  # sets like MNIST, and their classes
CLASSES = {**IDX, "CIFAR10": 10, "CIFAR100": 100, "SVHN": 10, "STL10": 10}
SIDES = {**dict.fromkeys(IDX, 28), "CIFAR10": 32, "CIFAR100": 32, "SVHN": 32, "STL10": 96}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def pictures(split: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(split)).integers(0, 256, (COUNT[split], *shape), dtype=np.uint8)


def labels(split: str, classes: int) -> np.ndarray:
    return (np.arange(COUNT[split]) % classes).astype(np.uint8)


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def idx_files(name: str) -> dict[str, bytes]:
    """Return the files of a data set in MNIST's format; images of EMNIST are transposed."""
    files = {}
    for split in COUNT:
        prefix = f"emnist-balanced-{split}" if name == "EMNIST" else {"train": "train", "test": "t10k"}[split]
        stored = pictures(split, 28, 28)
        stored = stored.transpose(0, 2, 1) if name == "EMNIST" else stored
        files[f"{prefix}-images-idx3-ubyte"] = idx(stored.copy())
        files[f"{prefix}-labels-idx1-ubyte"] = idx(labels(split, IDX[name]))
    return files


def write_idx(root: Path, name: str) -> None:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for file, content in idx_files(name).items():
        (folder / file).write_bytes(content)


def write_cifar(root: Path, name: str, patch: pytest.MonkeyPatch) -> None:
    make = getattr(datasets, name)
    key, names = ("labels", "label_names") if name == "CIFAR10" else ("fine_labels", "fine_label_names")
    classes = int(name[5:])
    folder = root / make.base_folder
    folder.mkdir(parents=True)
    data, y = pictures("train", 3, 32, 32), labels("train", classes)
    parts = len(make.train_list)
    content: dict[str, Any] = {make.meta["filename"]: {names: [f"c{i}" for i in range(classes)]}}
    for (file, _), x, part in zip(make.train_list, np.split(data, parts), np.split(y, parts), strict=True):
        content[file] = {"data": x.reshape(len(x), -1), key: part.tolist()}
    [[file, _]] = make.test_list
    content[file] = {"data": pictures("test", 3, 32, 32).reshape(20, -1), key: labels("test", classes).tolist()}
    for file, entry in content.items():
        (folder / file).write_bytes(pickle.dumps(entry))
    for part in ("train_list", "test_list"):
        patch.setattr(make, part, [[file, md5(folder / file)] for file, _ in getattr(make, part)])
    patch.setattr(make, "meta", {**make.meta, "md5": md5(folder / make.meta["filename"])})


def write_stl10(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for split in COUNT:  # transposed images, labels from 1
        (folder / f"{split}_X.bin").write_bytes(pictures(split, 3, 96, 96).transpose(0, 1, 3, 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes((labels(split, 10) + 1).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(b"")
    (folder / "class_names.txt").write_text("\n".join(f"c{i}" for i in range(10)) + "\n")
    for part in ("train_list", "test_list"):
        patch.setattr(datasets.STL10, part, [[file, md5(folder / file)] for file, _ in getattr(datasets.STL10, part)])


def write_svhn(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Write stand-ins for MATLAB files `[H, W, C, N]`, with label 10 for 0, and replace SciPy's loader."""
    root.mkdir(parents=True, exist_ok=True)
    lists = {}
    for split in COUNT:
        digits = labels(split, 10)
        content = {"X": pictures(split, 3, 32, 32).transpose(2, 3, 1, 0), "y": np.where(digits, digits, 10)[:, None]}
        path = root / f"{split}_32x32.mat"
        path.write_bytes(pickle.dumps(content))
        lists[split] = [f"http://nowhere/{path.name}", path.name, md5(path)]
    patch.setattr(datasets.SVHN, "split_list", lists)
    loader = SimpleNamespace(loadmat=lambda path: pickle.loads(Path(path).read_bytes()))
    patch.setitem(sys.modules, "scipy", SimpleNamespace(io=loader, __spec__="of a package"))
    patch.setitem(sys.modules, "scipy.io", loader)


def source(name: str, root: Path, **options: Any) -> TorchvisionDataset:
    if name == "EMNIST":
        options = {"variant": "balanced", **options}
    return TorchvisionDataset(name, str(root), **{"batch_size": 4, **options})


def check(data: TorchvisionDataset) -> None:
    """Check all images and labels."""
    name = data.dataset_name
    side, classes = SIDES[name], CLASSES[name]
    for split, part in data.read().items():
        stored = pictures(split, side, side) if name in IDX else pictures(split, 3, side, side)
        assert part.x.dtype == torch.uint8
        assert torch.equal(part.x, torch.from_numpy(stored).view(COUNT[split], -1, side, side))
        assert part.y.tolist() == labels(split, classes).tolist()


def write_set(root: Path, name: str, patch: pytest.MonkeyPatch) -> None:
    """Write the unpacked files of a data set below its root."""
    if name in IDX:
        write_idx(root, name)
    elif name.startswith("CIFAR"):
        write_cifar(root, name, patch)
    else:
        {"STL10": write_stl10, "SVHN": write_svhn}[name](root, patch)
