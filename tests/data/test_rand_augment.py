"""Random operations, drawn for each image apart."""

import pytest
import torch

from trainyard.data.draws import generator
from trainyard.data.rand_augment import OPERATIONS, SIGNS, RandAugment, operation_table


def images(count: int = 300, channels: int = 3) -> torch.Tensor:
    x = torch.arange(16)[:, None] * 9 + torch.arange(16) * 5
    return (x + 20).to(torch.uint8).expand(count, channels, 16, 16).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("number", range(OPERATIONS))
def test_every_operation_keeps_type_and_shape(number: int, channels: int) -> None:
    assert len(operation_table(16)) == OPERATIONS
    for strength in (-1.0, -0.3, 0.3, 1.0):
        y = operation_table(16)[number](images(3, channels), strength)
        assert y.shape == (3, channels, 16, 16)
        assert y.dtype == torch.uint8


def test_each_image_draws_its_own_operation() -> None:
    y = RandAugment(1, 9)(images(), generator(0))
    kinds = y.flatten(1).unique(dim=0)
    # Identical images fall into as many groups as there are different operations; six ignore the sign or the channels.
    assert 16 <= len(kinds) <= OPERATIONS * SIGNS


def test_about_one_in_fourteen_stays_as_it_is_and_two_rounds_leave_fewer() -> None:
    x = images(2000)
    once, twice = (
        float((RandAugment(rounds, 30)(x, generator(3)) == x).flatten(1).all(1).float().mean()) for rounds in (1, 2)
    )
    assert 0.04 < once < 0.25
    assert twice < once


def test_the_draws_decide() -> None:
    x = images()
    assert torch.equal(RandAugment(2, 9)(x, generator(1)), RandAugment(2, 9)(x, generator(1)))
    assert not torch.equal(RandAugment(2, 9)(x, generator(1)), RandAugment(2, 9)(x, generator(2)))
    assert torch.equal(x, images()), "the images themselves stay"
