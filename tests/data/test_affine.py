"""Geometry moves pixels as it says, for each image apart."""

import torch

from trainyard.data.affine import RandomAffine, RandomCrop, RandomFlip
from trainyard.data.draws import generator


def images(count: int = 64, size: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=generator(0), dtype=torch.uint8)


def test_nothing_asked_changes_nothing() -> None:
    x = images()
    assert torch.allclose(RandomAffine()(x, generator(0)), x.float(), atol=1e-3)


def test_flip_mirrors_about_half_of_the_images_exactly() -> None:
    x = images(400)
    y = RandomAffine(flip=0.5)(x, generator(0))
    kept = (y - x.float()).abs().amax(dim=(1, 2, 3)) < 1e-2
    mirrored = (y - x.float().flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-2
    assert bool((kept ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_shift_moves_by_at_most_its_share() -> None:
    x = torch.zeros(200, 1, 33, 33)
    x[:, :, 16, 16] = 255
    y = RandomAffine(shift=0.25)(x, generator(0)).squeeze(1)
    weight = y / y.sum(dim=(1, 2), keepdim=True)
    rows = (weight.sum(2) * torch.arange(33)).sum(1) - 16
    assert float(rows.abs().max()) <= 0.25 * 33 + 1e-3
    assert float(rows.abs().max()) > 0.2 * 33
    assert float(rows.std()) > 1, "each image has its own"


def test_rotation_keeps_distances_from_the_middle() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, 16, 26] = 255  # ten pixels right of the middle
    y = RandomAffine(rotate=60)(x, generator(0)).squeeze(1)
    weight = y / y.sum(dim=(1, 2), keepdim=True)
    rows = (weight.sum(2) * torch.arange(33)).sum(1) - 16
    columns = (weight.sum(1) * torch.arange(33)).sum(1) - 16
    assert torch.allclose(torch.hypot(rows, columns), torch.tensor(10.0), atol=0.5)
    degrees = torch.rad2deg(torch.atan2(rows, columns))
    assert float(degrees.abs().max()) <= 63
    assert float(degrees.min()) < -40
    assert float(degrees.max()) > 40


def test_skew_keeps_the_middle_row_and_slides_the_others() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, :, 16] = 255  # a vertical line
    y = RandomAffine(skew=30)(x, generator(0)).squeeze(1)
    columns = (y * torch.arange(33)).sum(2) / y.sum(2).clamp(min=1)
    assert torch.allclose(columns[:, 16], torch.full((100,), 16.0), atol=1e-2)
    slide = columns[:, 4] - columns[:, 28]
    limit = 24 * torch.tan(torch.tensor(torch.pi / 6))
    assert float(slide.abs().max()) <= float(limit) + 0.5
    assert float(slide.std()) > 2


def test_scale_changes_the_size() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, 11:22, 11:22] = 255  # a square of 121 pixels
    area = RandomAffine(scale=0.3)(x, generator(0)).sum(dim=(1, 2, 3)) / 255
    assert 0.45 * 121 < float(area.min()) < 0.75 * 121
    assert 1.3 * 121 < float(area.max()) < 1.75 * 121


def test_a_flip_alone_keeps_every_value() -> None:
    x = images(400)
    y = RandomFlip(0.5)(x, generator(0))
    assert y.dtype == torch.uint8
    mirrored = (y == x.flip(3)).flatten(1).all(dim=1)
    kept = (y == x).flatten(1).all(dim=1)
    assert bool((kept ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_crop_moves_by_whole_pixels_up_to_its_share() -> None:
    x = torch.zeros(500, 1, 16, 16, dtype=torch.uint8)
    x[:, :, 8, 8] = 255
    y = RandomCrop(0.25)(x, generator(0))
    assert y.dtype == torch.uint8
    assert bool((y.flatten(1).sum(1) == 255).all()), "the point moves, unblurred"
    row, column = (y[:, 0] == 255).nonzero()[:, 1:].unbind(1)
    assert sorted(set(row.tolist())) == sorted(set(column.tolist())) == list(range(4, 13))


def test_crop_keeps_channels_together() -> None:
    x = images(20)[:, :1].repeat(1, 3, 1, 1)
    y = RandomCrop(0.25)(x, generator(1))
    assert torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(y[:, 0], y[:, 2])
