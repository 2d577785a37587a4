"""The images of a folder make the same batches, to the last bit, whether they stay in memory or in their files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainyard.data.image_folder import ImageFolder

SIZES = {"0.png": (5, 6), "1.bmp": (5, 6), "2.jpg": (40, 31), "3.webp": (9, 4), "4.gif": (8, 8), "5.tif": (5, 6)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images of many kinds and sizes, one of which is broken."""
    draws = np.random.default_rng(0)
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for name, size in SIZES.items():
            for copy in range(3 if folder == "train/cat" else 2):
                pixels = draws.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / folder / f"{copy}-{name}")
    (tmp_path / "set/train/cat/0-0.png").write_bytes(b"")
    return tmp_path / "set"


def opened(root: Path, **options: Any) -> ImageFolder:
    """Return the data with a trainer of one process on the CPU, as Lightning attaches it."""
    shared = {"cache": str(root.parent / "cache"), "batch_size": 4, "on_error": "skip"}
    data = ImageFolder(root=str(root), **shared, **options)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)  # type: ignore[assignment]
    return data


def shaken(x: Tensor, y: Tensor, draws: torch.Generator, classes: int) -> tuple[Tensor, Tensor]:
    """Change a batch by random numbers."""
    return x + torch.randint(0, 9, x.shape, generator=draws), y


def batches(data: ImageFolder) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Return all batches of two epochs of training, of validation and of test."""
    loaders = {split: data.loader(split) for split in ("train", "val", "test")}
    found = {}
    for epoch in range(2):
        for split, loader in loaders.items():
            loader.sampler.set_epoch(epoch)
            found[f"{split} {epoch}"] = list(loader)
    return found


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", ["shuffle", "balanced"])
def test_streamed_batches_are_the_resident_ones(root: Path, workers: int, sampler: str) -> None:
    options = {"augment": shaken, "order_seed": 5, "sampler": sampler, "num_workers": workers}
    resident, streamed = (opened(root, resident=kept, **options) for kept in (True, False))
    assert isinstance(resident.splits["train"].x, Tensor)
    assert not isinstance(streamed.splits["train"].x, Tensor)
    assert resident.spec == streamed.spec
    assert resident.report == streamed.report
    ours, theirs = batches(resident), batches(streamed)
    assert ours.keys() == theirs.keys()
    for split, expected in ours.items():
        for (x, y), (same_x, same_y) in zip(expected, theirs[split], strict=True):
            assert x.dtype == same_x.dtype
            assert torch.equal(x, same_x)
            assert torch.equal(y, same_y)
    assert not torch.equal(ours["train 0"][0][0], ours["train 1"][0][0])


def test_what_does_not_fit_is_streamed(root: Path) -> None:
    size = 54 * 3 * 5 * 5 / 2**30
    kinds = [type(opened(root, resident_limit=size * share).splits["train"].x).__name__ for share in (1, 0.99)]
    assert kinds == ["Tensor", "ImageFiles"]
