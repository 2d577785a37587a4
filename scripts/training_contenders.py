"""Ways to train the same network on the same images, for `benchmark_training.py`; each returns seconds an epoch.

An epoch is 60,000 training images of 28 x 28 and 10,000 for validation, batches of 128; the floor only trains.
"""

import itertools
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from epoch_clock import timed_epochs
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
    """Write images of ten noisy patterns in MNIST's own files, where torchvision looks for them."""
    draws = np.random.default_rng(0)
    patterns = draws.integers(0, 76, (10, 28, 28))
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", TRAIN + VAL), ("t10k", 1000)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = (patterns[labels] + draws.integers(0, 180, (count, 28, 28))).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + labels.tobytes())


def network(name: str) -> nn.Module:
    """Return the network of `model=mlp` or the default `model=cnn`, without anything around it."""
    if name == "mlp":
        return fully_connected(784, [256, 128], 10, "relu", 0.0)
    sizes = [1, 16, 32, 64]
    blocks = [convolution_block(*pair, 3, "relu", 0.1) for pair in itertools.pairwise(sizes)]
    return nn.Sequential(*blocks, fully_connected(64 * 3 * 3, [128], 10, "relu", 0.1))


def floor(name: str, device: str, tuned: bool = False) -> list[float]:
    """Forward, backward and step on one batch that lies there; `tuned` with channels_last and the fused Adam."""
    net = network(name).to(device)
    x, y = torch.randn(BATCH, 1, 28, 28, device=device), torch.randint(0, 10, (BATCH,), device=device)
    if tuned:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), fused=tuned or None)
    started = time.perf_counter()
    for _ in range(TRAIN // BATCH + 1):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return [time.perf_counter() - started]


def loaders(root: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return torchvision's data as tutorials load it."""
    change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.3,))])
    data = MNIST(root, transform=change)
    parts = Subset(data, range(TRAIN)), Subset(data, range(TRAIN, TRAIN + VAL))
    return DataLoader(parts[0], BATCH, shuffle=True), DataLoader(parts[1], BATCH)


def hand_written(name: str, root: Path, device: str) -> list[float]:
    """A loop over torchvision and a DataLoader, with the loss and the hits of each step."""
    net = network(name).to(device)
    optimizer = torch.optim.Adam(net.parameters())
    train_loader, val_loader = loaders(root)
    started = time.perf_counter()
    for training, loader in ((True, train_loader), (False, val_loader)):
        net.train(training)
        total = hits = 0.0
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
                hits += (logits.argmax(1) == y).sum().item()
    return [time.perf_counter() - started]


def trainyard(name: str, root: Path, folder: Path, options: list[str]) -> list[float]:
    """`train.py model=NAME data=mnist`, with its logs and checkpoints; three epochs."""
    fixed = [f"model={name}", "data=mnist", f"data.root={root}", f"data.val_fraction={VAL / (TRAIN + VAL)}"]
    clock = "+callbacks.clock._target_=epoch_clock.Clock"
    with timed_epochs() as seconds:
        train(compose([*fixed, "trainer.max_epochs=3", f"hydra.run.dir={folder / 'run'}", clock, *options]))
    return seconds
