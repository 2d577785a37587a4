"""The columns of a table, drawn: which colour is which class."""

import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from trainyard.data.loading.spec import Column
from trainyard.inspect.data_figures import BINS, draw_levels, draw_numbers


@pytest.mark.parametrize("classes", [2, 4, 6])
def test_each_class_has_its_colour_where_its_values_are(classes: int) -> None:
    axis = Figure().subplots()
    draw_numbers(axis, [torch.full((5,), float(label)) for label in range(classes)], Column("a"))
    width = (classes - 1) / BINS
    for label in range(classes):
        own = [patch for patch in axis.patches if to_rgb(patch.get_facecolor()) == pytest.approx(to_rgb(f"C{label}"))]
        if isinstance(own[0], Polygon):
            corners = own[0].get_xy()
            place = corners[corners[:, 1] > 0][:, 0].mean()
        else:
            [place] = [bar.get_x() + width / 2 for bar in own if bar.get_height() > 0]
        assert place == pytest.approx(label, abs=width), "where its values are"


def test_missing_values_are_not_drawn_and_levels_are_counted() -> None:
    axis = Figure().subplots()
    draw_levels(axis, [torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([1.0, 0.0])], Column("a", ("x", "y")))
    heights = {round(float(bar.get_x()), 1): bar.get_height() for bar in axis.patches}
    assert heights == {-0.2: 1, 0.8: 2, 0.2: 1, 1.2: 0}
