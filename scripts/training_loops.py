"""Training loops to compare, on the same network and images; each function returns the seconds per epoch.

An epoch has 60,000 training images of 28 x 28 and 10,000 for validation, in batches of 128. `plain_lightning.py`
contains the loop of plain Lightning.
"""

import itertools
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_helpers import EPOCH_TIMER, time_epochs
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST

from trainyard.config.composition import compose
from trainyard.models.cnn import convolution_block
from trainyard.models.mlp import fully_connected
from trainyard.run.training import train

TRAIN, VAL, BATCH = 60_000, 10_000, 128


def write_mnist(root: Path) -> None:
    """Write images of ten noisy patterns in the file format of MNIST, for torchvision."""
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 76, (10, 28, 28))
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN + VAL), ("t10k", 1000)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = (patterns[labels] + generator.integers(0, 180, (count, 28, 28))).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())


def mnist_overrides(root: Path) -> list[str]:
    """Return the overrides that select these images."""
    return ["data=mnist", f"data.root={root}", f"data.val_fraction={VAL / (TRAIN + VAL)}"]


def network(name: str) -> nn.Module:
    """Return the network of `model=mlp` or `model=cnn` with default arguments, as a plain module."""
    if name == "mlp":
        return fully_connected(784, [256, 128], 10, "relu", 0.0)
    sizes = [1, 16, 32, 64]
    blocks = [convolution_block(*pair, 3, "relu", 0.1) for pair in itertools.pairwise(sizes)]
    return nn.Sequential(*blocks, fully_connected(64 * 3 * 3, [128], 10, "relu", 0.1))


def raw_compute(name: str, device: str, tuned: bool = False) -> list[float]:
    """Time forward, backward and step on one preloaded batch; `tuned` uses channels_last and the fused Adam."""
    net = network(name).to(device)
    x, y = torch.randn(BATCH, 1, 28, 28, device=device), torch.randint(0, 10, (BATCH,), device=device)
    if tuned:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), fused=tuned or None)
    start = time.perf_counter()
    for _ in range(TRAIN // BATCH + 1):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return [time.perf_counter() - start]


def loaders(root: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return loaders of torchvision's data set, as in tutorials."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.3,))])
    data = MNIST(root, transform=transform)
    train_data, val_data = Subset(data, range(TRAIN)), Subset(data, range(TRAIN, TRAIN + VAL))
    return DataLoader(train_data, BATCH, shuffle=True), DataLoader(val_data, BATCH)


def hand_written(name: str, root: Path, device: str) -> list[float]:
    """Train and validate in a hand-written loop over a DataLoader that sums loss and correct predictions."""
    net = network(name).to(device)
    optimizer = torch.optim.Adam(net.parameters())
    train_loader, val_loader = loaders(root)
    start = time.perf_counter()
    for training, loader in ((True, train_loader), (False, val_loader)):
        net.train(training)
        total = correct = 0.0
        with torch.set_grad_enabled(training):
            for x, y in loader:
                x, y = x.to(device), y.to(device)
                logits = net(x)
                loss = F.cross_entropy(logits, y)
                if training:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                total += loss.item()
                correct += (logits.argmax(1) == y).sum().item()
    return [time.perf_counter() - start]


def trainyard(name: str, root: Path, folder: Path, overrides: list[str]) -> list[float]:
    """Train three epochs with `train.py model=NAME data=mnist`, including logs and checkpoints."""
    fixed = [f"model={name}", *mnist_overrides(root), "trainer.max_epochs=3", f"hydra.run.dir={folder / 'run'}"]
    with time_epochs() as seconds:
        train(compose([*fixed, EPOCH_TIMER, *overrides]))
    return seconds
