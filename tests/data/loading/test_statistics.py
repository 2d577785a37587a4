"""Mean and deviation of the training examples: as torch has them, and the same from tensors and from files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.sampler import derive_generator
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.loading.statistics import (
    CHUNK,
    channel_sums,
    constant_images,
    image_statistics,
    mean_and_std,
    row_statistics,
)
from trainyard.models.input_layers import Normalize


def images(count: int, channels: int, side: int) -> torch.Tensor:
    bright = torch.randint(0, 256, (count, channels, side, side), generator=derive_generator(1), dtype=torch.uint8)
    return bright // torch.arange(1, channels + 1, dtype=torch.uint8)[:, None, None]  # channels differ


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 50, CHUNK + 7])
def test_image_statistics_equal_those_of_torch(channels: int, count: int) -> None:
    pictures = images(count, channels, 5)
    mean, std = image_statistics(pictures)
    expected = torch.std_mean(pictures.double() / 255, dim=(0, 2, 3), correction=0)
    assert mean.tolist() == pytest.approx(expected[1].tolist(), rel=1e-12)
    assert std.tolist() == pytest.approx(expected[0].tolist(), rel=1e-9)
    assert mean.shape == std.shape == (channels,)


def test_statistics_do_not_depend_on_order() -> None:
    pictures = images(CHUNK + 100, 1, 3)
    shuffled = pictures[torch.randperm(len(pictures), generator=derive_generator(2))]
    assert all(map(torch.equal, image_statistics(pictures), image_statistics(shuffled)))


@pytest.mark.parametrize("channels", [1, 3])
def test_files_and_tensors_give_equal_statistics(tmp_path: Path, channels: int) -> None:
    pictures = images(20, channels, 6)
    for number, picture in enumerate(pictures):
        array = picture.permute(1, 2, 0).numpy()
        Image.fromarray(array[:, :, 0] if channels == 1 else array).save(tmp_path / f"{number:02}.png")
    paths = np.array([str(path) for path in sorted(tmp_path.iterdir())])
    sums = torch.stack([channel_sums(picture[None]) for picture in pictures])  # a picture each
    files = ImageFiles(paths, sums, np.zeros((20, 16), np.uint8), (channels, 6, 6))
    assert torch.equal(files.read(torch.arange(20)), pictures)
    chosen = torch.tensor([3, 17, 4])
    labels = torch.zeros(20, dtype=torch.long)
    for index in (torch.arange(20), chosen):
        from_files = mean_and_std(Examples(files, labels).subset(index), ())
        from_tensor = mean_and_std(Examples(pictures, labels).subset(index), ())
        assert all(map(torch.equal, from_files, from_tensor))


def test_a_constant_channel_is_divided_by_one() -> None:
    pictures = torch.full((4, 3, 2, 2), 51, dtype=torch.uint8)
    pictures[:, 1] = torch.arange(16).view(4, 2, 2)
    mean, std = image_statistics(pictures)
    assert mean.tolist() == pytest.approx([0.2, 7.5 / 255, 0.2])
    assert std.tolist() == pytest.approx([0, (255 / 12) ** 0.5 / 255, 0])
    normalized = Normalize(mean.tolist(), std.tolist())(pictures)
    assert normalized[:, [0, 2]].abs().max() < 1e-6
    assert normalized[:, 1].std(correction=0).item() == pytest.approx(1)


@pytest.mark.parametrize("side", [2, 4000])
def test_constant_images_are_found(side: int) -> None:
    pictures = torch.full((4, 3, side, side), 255, dtype=torch.uint8)
    pictures[1, 0] = 0
    pictures[2, 2, -1, -1] = 254
    pictures[3, 1, 0, 0] = 0
    sums = torch.stack([channel_sums(picture[None]) for picture in pictures])
    assert constant_images(sums, side * side).tolist() == [True, True, False, False]


def test_rows_have_their_missing_values_filled() -> None:
    columns = (Column("a", median=4.0), Column("c", levels=("x", "y")), Column("flat"), Column("none"))
    nan = float("nan")
    rows = torch.tensor([[1, 2, 0.1, nan], [nan, 1, 0.1, nan], [7, 0, 0.1, nan], [4, 2, 0.1, nan]])
    mean, std = row_statistics(rows, columns)
    assert mean.tolist() == pytest.approx([4, 0, 0.1, 0])
    assert std.tolist() == pytest.approx([4.5**0.5, 1, 1, 1]), "codes are no quantities; what is constant gets 1"
    assert mean_and_std(Examples(rows, torch.zeros(4)), columns)[0].tolist() == mean.tolist()


@pytest.mark.parametrize("value", [0.1, 123456.7, 1e-5, 3.3e7])
def test_rounding_does_not_give_a_constant_column_a_deviation(value: float) -> None:
    assert row_statistics(torch.full((1003, 1), value), [Column("a")])[1].tolist() == [1]
