"""Some of the classes and columns that a source has."""

import pytest
import torch

from trainyard.data.digits import Digits
from trainyard.data.penguins import Penguins
from trainyard.data.shapes import DISTANCES, Shapes
from trainyard.errors import ConfigError


def test_chosen_digits_are_those_of_all_and_numbered_anew() -> None:
    every, some = Digits(64).read()["train"], Digits(64, digits=[7, 3]).read()["train"]
    assert torch.equal(some.x, every.x[(every.y == 7) | (every.y == 3)])
    assert torch.equal(some.x[some.y == 0], every.x[every.y == 7])
    assert torch.equal(some.x[some.y == 1], every.x[every.y == 3])
    assert Digits(64, digits=[7, 3]).spec.classes == ("7", "3")


def test_chosen_measurements_and_species_are_columns_and_rows_of_all() -> None:
    every = Penguins(batch_size=16).read()["train"]
    some = Penguins(["Gentoo", "Adelie"], ["body_mass_g", "bill_length_mm"], batch_size=16).read()["train"]
    gentoo = every.x[every.y == 2]
    assert torch.equal(some.x[some.y == 0], gentoo[:, [3, 0]])
    assert len(some) == len(every) - int((every.y == 1).sum())


def test_each_shape_covers_what_geometry_says() -> None:
    """Of a radius of 1: a ring whose hole has half of it, two crossed bars a third as wide as long, a pentagon."""
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
        (lambda: Digits(64, digits=[3]), r"data.digits=\['3'\]: too few, or one twice"),
        (lambda: Penguins(["Gento", "Adelie"], batch_size=16), "data.species=Gento: unknown; did you mean Gentoo?"),
        (lambda: Penguins(measurements=[], batch_size=16), r"data.measurements=\[\]: too few"),
        (lambda: Shapes(30, 32, ["ring", "ring"], batch_size=8), "data.shapes=.*one twice"),
        (lambda: Shapes(30, 32, ["rign", "cross"], batch_size=8), "data.shapes=rign: unknown; did you mean ring?"),
    ],
)
def test_what_is_not_there_is_said(source, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source()
