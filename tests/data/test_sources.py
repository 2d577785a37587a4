"""The sources that need no download hold what they promise."""

from pathlib import Path

import pytest
import torch

from trainyard.data.digits import Digits
from trainyard.data.module import DataModule
from trainyard.data.penguins import Penguins
from trainyard.data.shapes import Shapes
from trainyard.errors import ConfigError

SHARED = {"batch_size": 32, "val_fraction": 0.15, "test_fraction": 0.15}


def test_digits_are_the_1797_real_ones() -> None:
    examples = Digits(**SHARED).read()["train"]
    assert examples.x.shape == (1797, 1, 8, 8)
    assert examples.x.dtype == torch.uint8
    # The figures of the UCI set: digits of each class, and the summed ink of all pixels from 0 to 16.
    assert examples.y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int((examples.x.double() * 16 / 255).round().sum()) == 561718


def test_digits_are_small_on_disk() -> None:
    import trainyard.data

    assert (Path(trainyard.data.__file__).parent / "digits.npy.xz").stat().st_size < 50_000


def test_penguins_are_the_342_complete_rows() -> None:
    examples = Penguins(**SHARED).read()["train"]
    assert examples.x.shape == (342, 4)
    assert examples.y.bincount().tolist() == [151, 68, 123]
    assert bool(examples.x.isfinite().all())


def test_penguins_are_standardised_with_training_statistics_only() -> None:
    data = Penguins(**SHARED)
    train = data.splits["train"].x.double()
    assert data.spec.mean == pytest.approx(train.mean(0).tolist())
    assert data.spec.std == pytest.approx(train.std(0, correction=0).tolist())
    assert data.spec.mean != pytest.approx(data.read()["train"].x.double().mean(0).tolist(), rel=1e-6)
    assert data.spec.input_shape == (4,)
    assert data.spec.columns[0].name == "bill_length_mm"


def test_shapes_depend_on_the_seed_alone() -> None:
    first, again, other = (Shapes(**SHARED, count=40, image_size=32, seed=seed).read()["train"] for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert first.x.shape == (40, 3, 32, 32)
    assert first.y.bincount().tolist() == [14, 13, 13]


def test_every_shape_can_be_seen() -> None:
    images = Shapes(**SHARED, count=300, image_size=64).read()["train"].x.float() / 255
    # The corners show background; somewhere in the image a colour lies far from all four.
    corners = torch.stack([images[:, :, i, j] for i in (0, -1) for j in (0, -1)], dim=1)  # [N, 4, 3]
    distance = (images[:, None] - corners[..., None, None]).abs().amax(dim=2).amin(dim=1)  # [N, 64, 64]
    shape_pixels = (distance > 0.2).float().sum(dim=(1, 2))
    assert shape_pixels.min() > 30


@pytest.mark.parametrize("source", [Digits, Penguins])
def test_the_splits_are_disjoint_and_stratified(source: type[DataModule]) -> None:
    data = source(**SHARED)
    sizes = {name: len(part) for name, part in data.splits.items()}
    assert sum(sizes.values()) == len(data.read()["train"])
    shares = torch.stack([part.y.bincount() / len(part) for part in data.splits.values()])
    assert float((shares.amax(0) - shares.amin(0)).max()) < 0.03


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size=5000.*\n.*1 to 240"):
        Penguins(**{**SHARED, "batch_size": 5000}).splits  # noqa: B018


def test_a_default_batch_size_is_reduced_to_the_number_of_training_examples() -> None:
    few, many = Penguins(train_fraction=0.1, default_batch_size=128), Penguins(default_batch_size=128)
    assert {len(few.splits["train"]), few.batch_size, few.report["batch_size"]} == {25}
    assert (len(many.splits["train"]), many.batch_size) == (240, 128)
