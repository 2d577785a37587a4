"""What augmentation draws differs from example to example, batch to batch and epoch to epoch, and repeats by seed."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from tests.determinism.tiny_runs import config
from trainyard.config.composition import load_options
from trainyard.run.run_builder import RunBuilder

CHANGES = [name for name in load_options("augment") if name != "none"]


def epochs(folder: Path, name: str, seed: int = 0) -> list[Tensor]:
    """Return the training pictures of two epochs, each back in the order of the examples; those are all the same."""
    few = ("data=shapes", "data.count=64", "data.image_size=32", "data.batch_size=8")
    data = RunBuilder().data(config(folder, *few, "model=cnn", f"augment={name}", f"seed={seed}"))
    data.trainer = Mock(global_rank=0, world_size=1, overfit_batches=0)
    data.trainer.strategy.root_device = torch.device("cpu")
    train = data.splits["train"]
    train.x[:] = train.x[0].clone()
    loader = data.train_dataloader()
    seen = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        changed = torch.cat([x for x, _ in loader])
        seen.append(changed[loader.sampler.positions().argsort()])
    return seen


@pytest.mark.parametrize("name", CHANGES)
def test_every_epoch_changes_every_example_in_its_own_way(name: str, tmp_path: Path) -> None:
    first, second = epochs(tmp_path, name)
    views = 2 if name == "flip" else 8  # a flip has two outcomes, the rest has endless ones
    for epoch in (first, second):
        assert len(epoch.unique(dim=0)) >= views, "examples of the same pixels are changed apart from each other"
    differing = (first != second).flatten(1).any(dim=1)
    assert differing.float().mean() >= 0.25, "a flip repeats in half of all cases; nothing else does so often"


@pytest.mark.parametrize("name", CHANGES)
def test_the_seed_decides_the_draws(name: str, tmp_path: Path) -> None:
    first, again, other = (epochs(tmp_path, name, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
