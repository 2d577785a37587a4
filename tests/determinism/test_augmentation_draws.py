"""Augmentation draws new parameters for each example, batch and epoch, and the same ones for the same seed."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from tests.determinism.tiny_runs import config
from trainyard.config.composition import load_options
from trainyard.run.run_builder import build_data

AUGMENTATIONS = [name for name in load_options("augment") if name != "none"]


def augment_two_epochs(folder: Path, name: str, seed: int = 0) -> list[Tensor]:
    """Return the augmented images of two epochs in the order of the examples, which are all equal."""
    few = ("data=shapes", "data.count=64", "data.image_size=32", "data.batch_size=8")
    data = build_data(config(folder, *few, "model=cnn", f"augment={name}", f"seed={seed}"))
    data.trainer = Mock(global_rank=0, world_size=1, overfit_batches=0)
    data.trainer.strategy.root_device = torch.device("cpu")
    train = data.splits["train"]
    train.x[:] = train.x[0].clone()
    loader = data.train_dataloader()
    augmented = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        images = torch.cat([x for x, _ in loader])
        augmented.append(images[loader.sampler.positions().argsort()])
    return augmented


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_example_is_augmented_differently_in_every_epoch(name: str, tmp_path: Path) -> None:
    first, second = augment_two_epochs(tmp_path, name)
    views = 2 if name == "flip" else 8  # a flip has two outcomes, the others have many
    for epoch in (first, second):
        assert len(epoch.unique(dim=0)) >= views, "equal images are augmented differently"
    differing = (first != second).flatten(1).any(dim=1)
    assert differing.float().mean() >= 0.25, "a flip is repeated in half of the cases, the others less often"


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_draws_depend_on_the_seed(name: str, tmp_path: Path) -> None:
    first, again, other = (augment_two_epochs(tmp_path, name, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])
