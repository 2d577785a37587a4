"""A run with ordinary DataLoaders that was stopped inside an epoch resumes bitwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, WeightedRandomSampler

from tests.run.plain_runs import Rows, differences, train_plain


pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:.*does not have many workers")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


LOADERS: dict[str, Callable[[], Any]] = {
    "shuffled": lambda: DataLoader(Rows(), 4, shuffle=True),
    "workers": lambda: DataLoader(Rows(), 4, shuffle=True, num_workers=2),
    "generator": lambda: DataLoader(Rows(), 4, shuffle=True, generator=generator()),
    "workers with generator": lambda: DataLoader(Rows(), 4, shuffle=True, num_workers=2, generator=generator()),
    "weighted": lambda: DataLoader(Rows(), 4, sampler=WeightedRandomSampler(torch.arange(40.0), 40)),
    "replacement": lambda: DataLoader(Rows(), 4, sampler=RandomSampler(Rows(), True, 40, generator())),
    "batch sampler": lambda: DataLoader(
        Rows(), batch_sampler=BatchSampler(RandomSampler(Rows(), generator=generator()), 4, drop_last=True)
    ),
    "dict": lambda: {"a": DataLoader(Rows(), 4, shuffle=True), "b": DataLoader(Rows(12), 4, shuffle=True)},
    "max size": lambda: CombinedLoader(
        {"a": DataLoader(Rows(), 4, shuffle=True), "b": DataLoader(Rows(12), 4, shuffle=True)}, "max_size"
    ),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_resumes_bitwise(tmp_path: Path, kind: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole, train=LOADERS[kind])
    for stop in (("train", 0, 3), ("train", 1, 1), ("train", 1, 7), ("val", 1, 1), None):
        train_plain(parts, train=LOADERS[kind], stop=stop)
    assert differences(whole, parts) == []
