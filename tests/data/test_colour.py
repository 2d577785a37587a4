"""Colours change as they should, for each image apart."""

import pytest
import torch
from torchvision.transforms.v2 import functional as TF

from trainyard.data.colour import LUMA, RandomColour, saturated, turned
from trainyard.data.draws import generator


def images(count: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.randint(60, 200, (count, channels, 8, 8), generator=generator(0), dtype=torch.uint8)


def grey(x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("c,bchw->bhw", LUMA, x.float())


def test_nothing_asked_changes_nothing() -> None:
    x = images()
    assert torch.allclose(RandomColour(0, 0, 0, 0)(x, generator(0)), x.float(), atol=1e-2)


def test_brightness_scales_all_values_of_an_image_alike() -> None:
    x = torch.full((300, 3, 4, 4), 100.0)
    factor = RandomColour(0.3, 0, 0, 0)(x, generator(0)) / 100
    assert torch.allclose(factor.amax(dim=(1, 2, 3)), factor.amin(dim=(1, 2, 3)))
    per_image = factor[:, 0, 0, 0]
    assert 0.7 <= float(per_image.min()) < 0.72
    assert 1.28 < float(per_image.max()) <= 1.3


def test_contrast_keeps_the_mean_grey() -> None:
    x = images()
    y = RandomColour(0, 0.2, 0, 0)(x, generator(0))
    assert torch.allclose(grey(y).mean(dim=(1, 2)), grey(x).mean(dim=(1, 2)), atol=0.1)
    spread = y.std(dim=(1, 2, 3)) / x.float().std(dim=(1, 2, 3))
    assert 0.79 < float(spread.min()) < 0.85
    assert 1.15 < float(spread.max()) < 1.21


def test_saturation_keeps_each_pixels_grey() -> None:
    x = images()
    y = RandomColour(0, 0, 0.2, 0)(x, generator(0))
    assert torch.allclose(grey(y), grey(x), atol=0.1)
    assert float((y - x).abs().max()) > 5


def test_no_saturation_is_torchvisions_grey() -> None:
    x = images().float()
    ours = torch.einsum("bij,bjhw->bihw", saturated(torch.zeros(len(x), 1, 1)), x)
    theirs = TF.adjust_saturation(x / 255, 0.0) * 255
    assert torch.allclose(ours, theirs, atol=0.1)


def test_hue_turns_the_colour_circle_and_keeps_the_grey() -> None:
    x = images()
    y = RandomColour(0, 0, 0, 0.05)(x, generator(0))
    assert torch.allclose(grey(y), grey(x), atol=0.2)
    assert float((y - x).abs().max()) > 5
    whole, back = turned(torch.tensor([2 * torch.pi])), turned(torch.tensor([0.7])) @ turned(torch.tensor([-0.7]))
    assert torch.allclose(whole[0], torch.eye(3), atol=1e-5)
    assert torch.allclose(back[0], torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range(channels: int) -> None:
    x = torch.randint(0, 256, (64, channels, 8, 8), generator=generator(1), dtype=torch.uint8)
    y = RandomColour(0.9, 0.9, 0.9, 0.5)(x, generator(2))
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 255
