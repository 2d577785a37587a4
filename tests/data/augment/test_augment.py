"""Augmentation by keys: what is asked for takes place, and nothing else."""

import pytest
import torch

from tests.conftest import Compose
from trainyard.config.composition import instantiate, load_options
from trainyard.data.augment import Augmentation
from trainyard.data.loading.sampler import derive_generator

CHANGES = {
    "flip": 0.5,
    "crop": 0.2,
    "shift": 0.2,
    "rotate": 30,
    "skew": 20,
    "scale": 0.3,
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.2,
    "erase": 0.9,
    "rand_augment": 1,
    "mixup": 0.5,
    "cutmix": 1.0,
}


def batch(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(0, 256, (count, 3, 16, 16), generator=derive_generator(0), dtype=torch.uint8)
    return x, torch.arange(count) % 3


def test_default_augmentation_is_disabled() -> None:
    nothing = Augmentation()
    assert not nothing
    x, y = batch()
    assert nothing(x, y, derive_generator(0), 3)[0] is x


@pytest.mark.parametrize("key", CHANGES)
def test_each_change_differs_between_images(key: str) -> None:
    one = batch()[0][:1].expand(64, -1, -1, -1).contiguous()
    augmentation = Augmentation(**{key: CHANGES[key]})
    assert augmentation
    x, y = augmentation(one, torch.arange(64) % 3, derive_generator(0), 3)
    assert x.shape == one.shape
    if key in ("mixup", "cutmix"):
        assert y.shape == (64, 3)
        assert len(y.unique(dim=0)) > 10
    else:
        assert len(x.flatten(1).unique(dim=0)) > 1, "identical images come out different"
        assert torch.equal(y, torch.arange(64) % 3)


def test_flip_is_part_of_the_affine_transform() -> None:
    assert len(Augmentation(flip=0.5, rotate=10).steps) == 1
    assert len(Augmentation(flip=0.5, crop=0.1).steps) == 2


def test_both_mixtures_take_turns() -> None:
    x, y = batch()
    both = Augmentation(mixup=1.0, cutmix=1.0)
    kinds = {both(x, y, derive_generator(seed), 3)[0].dtype for seed in range(20)}
    assert kinds == {torch.uint8, torch.float32}, "pasted ones keep the type, blended ones don't"


def test_the_draws_decide_everything() -> None:
    everything = Augmentation(**CHANGES)
    x, y = batch()
    first, again, other = (everything(x, y, derive_generator(seed), 3) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("option", load_options("augment"))
def test_options_keep_shape_and_range(compose_run: Compose, option: str) -> None:
    augmentation = instantiate(compose_run(f"augment={option}").augment)
    x, y = batch()
    changed, labels = augmentation(x, y, derive_generator(0), 3)
    assert bool(augmentation) == (option != "none")
    assert changed.shape == x.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 255.01
    assert torch.equal(labels, y)
