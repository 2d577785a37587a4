"""Augmentation: each transform does what its parameters say, and the config enables exactly the given ones."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as TF

from tests.conftest import Compose
from trainyard.config.composition import instantiate, load_options
from trainyard.data.augment import (
    LUMA,
    OPERATIONS,
    SIGNS,
    Augmentation,
    apply_cutmix,
    apply_mixup,
    apply_rand_augment,
    draw_partners,
    hue_maps,
    rand_augment_operations,
    random_affine,
    random_color,
    random_crop,
    random_erase,
    random_flip,
    saturation_maps,
)
from trainyard.data.loading.loader import derive_generator


def images(count: int = 64, size: int = 16) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=derive_generator(0), dtype=torch.uint8)


def test_zero_affine_changes_nothing() -> None:
    x = images()
    assert torch.allclose(random_affine(x, derive_generator(0)), x.float(), atol=1e-3)


def test_flip_mirrors_about_half_of_the_images_exactly() -> None:
    x = images(400)
    y = random_affine(x, derive_generator(0), flip=0.5)
    kept = (y - x.float()).abs().amax(dim=(1, 2, 3)) < 1e-2
    mirrored = (y - x.float().flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-2
    assert bool((kept ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_shift_moves_by_at_most_its_share() -> None:
    x = torch.zeros(200, 1, 33, 33)
    x[:, :, 16, 16] = 255
    y = random_affine(x, derive_generator(0), shift=0.25).squeeze(1)
    weight = y / y.sum(dim=(1, 2), keepdim=True)
    rows = (weight.sum(2) * torch.arange(33)).sum(1) - 16
    assert float(rows.abs().max()) <= 0.25 * 33 + 1e-3
    assert float(rows.abs().max()) > 0.2 * 33
    assert float(rows.std()) > 1, "each image has its own shift"


def test_rotation_keeps_distances_from_the_middle() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, 16, 26] = 255  # ten pixels right of the middle
    y = random_affine(x, derive_generator(0), rotate=60).squeeze(1)
    weight = y / y.sum(dim=(1, 2), keepdim=True)
    rows = (weight.sum(2) * torch.arange(33)).sum(1) - 16
    columns = (weight.sum(1) * torch.arange(33)).sum(1) - 16
    assert torch.allclose(torch.hypot(rows, columns), torch.tensor(10.0), atol=0.5)
    degrees = torch.rad2deg(torch.atan2(rows, columns))
    assert float(degrees.abs().max()) <= 63
    assert float(degrees.min()) < -40
    assert float(degrees.max()) > 40


def test_skew_shifts_all_rows_except_the_middle_one() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, :, 16] = 255  # a vertical line
    y = random_affine(x, derive_generator(0), skew=30).squeeze(1)
    columns = (y * torch.arange(33)).sum(2) / y.sum(2).clamp(min=1)
    assert torch.allclose(columns[:, 16], torch.full((100,), 16.0), atol=1e-2)
    slide = columns[:, 4] - columns[:, 28]
    limit = 24 * torch.tan(torch.tensor(torch.pi / 6))
    assert float(slide.abs().max()) <= float(limit) + 0.5
    assert float(slide.std()) > 2


def test_scale_changes_the_size() -> None:
    x = torch.zeros(100, 1, 33, 33)
    x[:, :, 11:22, 11:22] = 255  # a square of 121 pixels
    area = random_affine(x, derive_generator(0), scale=0.3).sum(dim=(1, 2, 3)) / 255
    assert 0.45 * 121 < float(area.min()) < 0.75 * 121
    assert 1.3 * 121 < float(area.max()) < 1.75 * 121


def test_flip_preserves_values() -> None:
    x = images(400)
    y = random_flip(x, derive_generator(0), 0.5)
    assert y.dtype == torch.uint8
    mirrored = (y == x.flip(3)).flatten(1).all(dim=1)
    kept = (y == x).flatten(1).all(dim=1)
    assert bool((kept ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_crop_moves_by_whole_pixels_up_to_its_share() -> None:
    x = torch.zeros(500, 1, 16, 16, dtype=torch.uint8)
    x[:, :, 8, 8] = 255
    y = random_crop(x, derive_generator(0), 0.25)
    assert y.dtype == torch.uint8
    assert bool((y.flatten(1).sum(1) == 255).all()), "the point moves without blur"
    row, column = (y[:, 0] == 255).nonzero()[:, 1:].unbind(1)
    assert sorted(set(row.tolist())) == sorted(set(column.tolist())) == list(range(4, 13))


def test_crop_keeps_channels_together() -> None:
    x = images(20)[:, :1].repeat(1, 3, 1, 1)
    y = random_crop(x, derive_generator(1), 0.25)
    assert torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(y[:, 0], y[:, 2])


def color_images(count: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.randint(60, 200, (count, channels, 8, 8), generator=derive_generator(0), dtype=torch.uint8)


def grey(x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("c,bchw->bhw", LUMA, x.float())


def test_zero_color_changes_nothing() -> None:
    x = color_images()
    assert torch.allclose(random_color(x, derive_generator(0), 0, 0, 0, 0), x.float(), atol=1e-2)


def test_brightness_scales_all_values_of_an_image_equally() -> None:
    x = torch.full((300, 3, 4, 4), 100.0)
    factor = random_color(x, derive_generator(0), 0.3, 0, 0, 0) / 100
    assert torch.allclose(factor.amax(dim=(1, 2, 3)), factor.amin(dim=(1, 2, 3)))
    per_image = factor[:, 0, 0, 0]
    assert 0.7 <= float(per_image.min()) < 0.72
    assert 1.28 < float(per_image.max()) <= 1.3


def test_contrast_keeps_the_mean_grey() -> None:
    x = color_images()
    y = random_color(x, derive_generator(0), 0, 0.2, 0, 0)
    assert torch.allclose(grey(y).mean(dim=(1, 2)), grey(x).mean(dim=(1, 2)), atol=0.1)
    spread = y.std(dim=(1, 2, 3)) / x.float().std(dim=(1, 2, 3))
    assert 0.79 < float(spread.min()) < 0.85
    assert 1.15 < float(spread.max()) < 1.21


def test_saturation_keeps_each_pixels_grey() -> None:
    x = color_images()
    y = random_color(x, derive_generator(0), 0, 0, 0.2, 0)
    assert torch.allclose(grey(y), grey(x), atol=0.1)
    assert float((y - x).abs().max()) > 5


def test_zero_saturation_equals_torchvision() -> None:
    x = color_images().float()
    ours = torch.einsum("bij,bjhw->bihw", saturation_maps(torch.zeros(len(x), 1, 1)), x)
    theirs = TF.adjust_saturation(x / 255, 0.0) * 255
    assert torch.allclose(ours, theirs, atol=0.1)


def test_hue_rotates_colours_and_preserves_grey() -> None:
    x = color_images()
    y = random_color(x, derive_generator(0), 0, 0, 0, 0.05)
    assert torch.allclose(grey(y), grey(x), atol=0.2)
    assert float((y - x).abs().max()) > 5
    whole, back = hue_maps(torch.tensor([2 * torch.pi])), hue_maps(torch.tensor([0.7])) @ hue_maps(torch.tensor([-0.7]))
    assert torch.allclose(whole[0], torch.eye(3), atol=1e-5)
    assert torch.allclose(back[0], torch.eye(3), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range(channels: int) -> None:
    x = torch.randint(0, 256, (64, channels, 8, 8), generator=derive_generator(1), dtype=torch.uint8)
    y = random_color(x, derive_generator(2), 0.9, 0.9, 0.9, 0.5)
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 255


def test_erase_blackens_one_rectangle_in_some_images() -> None:
    x = torch.full((400, 3, 16, 16), 200, dtype=torch.uint8)
    y = random_erase(x, derive_generator(0), probability=0.5, largest=0.5)
    gone = (y == 0).all(dim=1)
    hit = gone.any(dim=2).any(dim=1)
    assert 140 < int(hit.sum()) < 240
    area = gone.sum(dim=(1, 2))
    assert int(area.max()) <= 64
    box = gone.any(dim=1).sum(1) * gone.any(dim=2).sum(1)
    assert torch.equal(area, box), "the erased area is a rectangle"


def gradient_images(count: int = 300, channels: int = 3) -> torch.Tensor:
    x = torch.arange(16)[:, None] * 9 + torch.arange(16) * 5
    return (x + 20).to(torch.uint8).expand(count, channels, 16, 16).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("number", range(OPERATIONS))
def test_every_operation_keeps_type_and_shape(number: int, channels: int) -> None:
    assert len(rand_augment_operations(16)) == OPERATIONS
    for strength in (-1.0, -0.3, 0.3, 1.0):
        y = rand_augment_operations(16)[number](gradient_images(3, channels), strength)
        assert y.shape == (3, channels, 16, 16)
        assert y.dtype == torch.uint8


def test_each_image_draws_its_own_operation() -> None:
    y = apply_rand_augment(gradient_images(), derive_generator(0), 1, 9)
    kinds = y.flatten(1).unique(dim=0)
    # Identical images fall into as many groups as there are different operations; six ignore the sign or the channels.
    assert 16 <= len(kinds) <= OPERATIONS * SIGNS


def test_identity_is_one_of_fourteen_operations() -> None:
    x = gradient_images(2000)
    once, twice = (
        float((apply_rand_augment(x, derive_generator(3), rounds, 30) == x).flatten(1).all(1).float().mean())
        for rounds in (1, 2)
    )
    assert 0.04 < once < 0.25
    assert twice < once


def test_rand_augment_is_a_function_of_the_generator() -> None:
    x = gradient_images()
    assert torch.equal(
        apply_rand_augment(x, derive_generator(1), 2, 9), apply_rand_augment(x, derive_generator(1), 2, 9)
    )
    assert not torch.equal(
        apply_rand_augment(x, derive_generator(1), 2, 9), apply_rand_augment(x, derive_generator(2), 2, 9)
    )
    assert torch.equal(x, gradient_images()), "the input is not changed"


COUNT, CLASSES = 200, 4


def labelled_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of a single value each, 85 times the label."""
    y = torch.arange(COUNT) % CLASSES
    x = (y * 85).to(torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16).contiguous()
    return x, F.one_hot(y, CLASSES).float()


def test_mixup_blends_images_and_labels_equally() -> None:
    x, y = labelled_batch()
    mixed, labels = apply_mixup(x, y, derive_generator(0), 0.5)
    assert torch.allclose(labels.sum(1), torch.ones(COUNT))
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), labels @ (torch.arange(CLASSES) * 85.0), atol=0.01)
    assert len(set(labels.amax(1).tolist())) > 50, "each image has its own share"


def test_cutmix_labels_are_shares_of_the_area() -> None:
    x, y = labelled_batch()
    mixed, labels = apply_cutmix(x, y, derive_generator(0), 1.0)
    assert mixed.dtype == torch.uint8
    for value in range(CLASSES):
        share = (mixed[:, 0] == value * 85).float().mean(dim=(1, 2))
        assert torch.allclose(share, labels[:, value], atol=1e-6)
    assert torch.equal(mixed[:, 0], mixed[:, 2]), "all channels of a rectangle"


def test_shares_follow_the_beta_distribution() -> None:
    _, share = draw_partners(20000, 0.4, derive_generator(0))
    # Beta(a, a) has the variance 1 / (4 (2a + 1)).
    assert abs(float(share.mean()) - 0.5) < 0.01
    assert abs(float(share.var()) - 1 / (4 * 1.8)) < 0.005


def test_mixup_is_a_function_of_the_generator() -> None:
    x, y = labelled_batch()
    assert torch.equal(apply_mixup(x, y, derive_generator(1), 0.5)[0], apply_mixup(x, y, derive_generator(1), 0.5)[0])
    assert not torch.equal(
        apply_mixup(x, y, derive_generator(1), 0.5)[0], apply_mixup(x, y, derive_generator(2), 0.5)[0]
    )


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
        assert len(x.flatten(1).unique(dim=0)) > 1, "identical images become different"
        assert torch.equal(y, torch.arange(64) % 3)


def test_flip_is_part_of_the_affine_transform() -> None:
    assert len(Augmentation(flip=0.5, rotate=10).steps) == 1
    assert len(Augmentation(flip=0.5, crop=0.1).steps) == 2


def test_mixup_and_cutmix_alternate() -> None:
    x, y = batch()
    both = Augmentation(mixup=1.0, cutmix=1.0)
    kinds = {both(x, y, derive_generator(seed), 3)[0].dtype for seed in range(20)}
    assert kinds == {torch.uint8, torch.float32}, "cutmix keeps the type, mixup does not"


def test_augmentation_is_a_function_of_the_generator() -> None:
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


def test_a_reflected_border_mirrors_the_image() -> None:
    x = torch.arange(8.0).view(1, 1, 1, 8).expand(60, 1, 8, 8).contiguous()
    y = random_crop(x, derive_generator(0), 0.25, border="reflect")
    expected = {
        tuple(F.pad(x[:1], (2, 2, 2, 2), mode="reflect")[0, 0, 0, left : left + 8].tolist()) for left in range(5)
    }
    assert {tuple(row.tolist()) for row in y[:, 0, 0]} == expected
    black = random_crop(x, derive_generator(0), 0.25)
    inside = black != 0
    assert torch.equal(y[inside], black[inside]), "both draw the same shifts"


def test_alternating_flips_follow_the_mask() -> None:
    x, y = images(6), torch.zeros(6)
    mask = torch.tensor([True, False, False, True, True, False])
    augmentation = Augmentation(alternate_flips=True)
    assert bool(augmentation)
    flipped, _ = augmentation(x, y, derive_generator(0), 2, alternating=mask)
    assert torch.equal(flipped[mask], x[mask].flip(3))
    assert torch.equal(flipped[~mask], x[~mask])
    drawn, _ = augmentation(x, y, derive_generator(0), 2)
    assert torch.equal(drawn, random_flip(x, derive_generator(0), 0.5)), "without a mask, they are random"
