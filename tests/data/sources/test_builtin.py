"""The built-in data sets have the documented contents."""

from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.target import Numbers
from trainyard.data.sources.builtin import DISTANCES, Digits, Penguins, Shapes
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

SHARED = {"batch_size": 32, "val_fraction": 0.15, "test_fraction": 0.15}


def test_digits_equal_the_uci_data() -> None:
    examples = Digits(**SHARED).read()["train"]
    assert examples.x.shape == (1797, 1, 8, 8)
    assert examples.x.dtype == torch.uint8
    # Numbers of the UCI data set: examples of each class, and the sum of all pixels from 0 to 16.
    assert examples.y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int((examples.x.double() * 16 / 255).round().sum()) == 561718


def test_digits_are_small_on_disk() -> None:
    from trainyard.data import sources

    assert (Path(sources.__file__).parent / "digits.npy.xz").stat().st_size < 50_000


def test_penguins_have_342_complete_rows() -> None:
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


def test_shapes_depend_on_the_seed_only() -> None:
    first, again, other = (Shapes(**SHARED, count=40, image_size=32, seed=seed).read()["train"] for seed in (0, 0, 1))
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    assert first.x.shape == (40, 3, 32, 32)
    assert first.y.bincount().tolist() == [14, 13, 13]


def test_every_shape_is_visible() -> None:
    images = Shapes(**SHARED, count=300, image_size=64).read()["train"].x.float() / 255
    # The corners show background; some pixels have colours far from all four.
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


def test_a_batch_larger_than_the_data_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"data\.batch_size=5000.*\n.*1 to 240"):
        Penguins(**{**SHARED, "batch_size": 5000}).splits  # noqa: B018


def test_a_default_batch_size_is_reduced_to_the_number_of_training_examples() -> None:
    few, many = Penguins(train_fraction=0.1, default_batch_size=128), Penguins(default_batch_size=128)
    assert {len(few.splits["train"]), few.batch_size, few.report["batch_size"]} == {25}
    assert (len(many.splits["train"]), many.batch_size) == (240, 128)


def test_selected_digits_are_a_relabelled_subset() -> None:
    every, some = Digits(64).read()["train"], Digits(64, digits=[7, 3]).read()["train"]
    assert torch.equal(some.x, every.x[(every.y == 7) | (every.y == 3)])
    assert torch.equal(some.x[some.y == 0], every.x[every.y == 7])
    assert torch.equal(some.x[some.y == 1], every.x[every.y == 3])
    assert Digits(64, digits=[7, 3]).spec.classes == ("7", "3")


def test_selected_measurements_and_species_are_a_subset() -> None:
    every = Penguins(batch_size=16).read()["train"]
    some = Penguins(["Gentoo", "Adelie"], ["body_mass_g", "bill_length_mm"], batch_size=16).read()["train"]
    gentoo = every.x[every.y == 2]
    assert torch.equal(some.x[some.y == 0], gentoo[:, [3, 0]])
    assert len(some) == len(every) - int((every.y == 1).sum())


def test_shapes_have_the_expected_area() -> None:
    """The areas are of shapes with radius 1; the ring's hole has radius 0.5, the bars of the cross a width of 2/3."""
    size, step = 2.4, 0.004
    axis = torch.arange(-size / 2, size / 2, step)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    one, turn = torch.ones(1, 1, 1), torch.tensor([0.3])
    expected = {
        "circle": torch.pi,
        "square": 2.0,
        "triangle": 3 * 3**0.5 / 4,
        "pentagon": 5 / 2 * float(torch.sin(torch.tensor(2 * torch.pi / 5))),
        "ring": torch.pi * 3 / 4,
        "cross": 2 * (2 * 2 / 3) - (2 / 3) ** 2,
    }
    assert expected.keys() == DISTANCES.keys()
    for name, area in expected.items():
        inside = DISTANCES[name](x[None], y[None], one, turn) < 0
        assert float(inside.sum()) * step**2 == pytest.approx(area, rel=0.01), name


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda: Digits(64, digits=[3, 12]), "data.digits=12: unknown"),
        (lambda: Digits(64, digits=3), r"data.digits=\['3'\]: too few or repeated names"),
        (lambda: Penguins(["Gento", "Adelie"], batch_size=16), "data.species=Gento: unknown; did you mean Gentoo?"),
        (lambda: Penguins(measurements=[], batch_size=16), r"data.measurements=\[\]: too few"),
        (lambda: Shapes(30, 32, ["ring", "ring"], batch_size=8), "data.shapes=.*repeated"),
        (lambda: Shapes(30, 32, ["rign", "cross"], batch_size=8), "data.shapes=rign: unknown; did you mean ring?"),
    ],
)
def test_invalid_selections_are_rejected(source, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source()


def test_measurements_of_penguins_can_be_predicted() -> None:
    measured = Penguins(batch_size=16).read()["train"].x
    data = Penguins(batch_size=16, target=["body_mass_g", "bill_length_mm"])
    train = data.read()["train"]
    assert data.target == Numbers(("body_mass_g", "bill_length_mm"))
    assert [column.name for column in data.columns] == ["bill_depth_mm", "flipper_length_mm"]
    assert torch.equal(train.y, measured[:, [3, 0]])
    assert torch.equal(train.x, measured[:, [1, 2]])
    assert Penguins(target="body_mass_g", target_transform="log").target.transform == "log"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"target": "mass"}, r"data\.target=mass: unknown"),
        ({"target": ["species", "body_mass_g"]}, r"data\.target=species,body_mass_g: the species are classes"),
        ({"target": "body_mass_g", "task": "classification"}, r"data\.target=body_mass_g: measurements are numbers"),
        ({"task": "regression"}, r"data\.target=species: the species are classes, with task=regression"),
        ({"target": "body_mass_g", "measurements": ["body_mass_g"]}, r"data\.measurements=.*no input is left"),
    ],
)
def test_other_targets_of_penguins_are_rejected(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}.*\n  accepted: "):
        Penguins(**options)


def test_the_mass_of_penguins_is_predicted(compose_run: Compose) -> None:
    """Far better than the mean, whose rmse is 807 g."""
    result = train(compose_run("experiment=penguins_mass", "trainer.max_epochs=15"))
    assert result.objective == result.metrics["val/rmse"]
    assert 300 < result.metrics["test/rmse"] < 420
