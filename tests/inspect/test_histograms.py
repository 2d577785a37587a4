"""The columns of a table, drawn: which colour is which class."""

import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from trainyard.data.spec import Column
from trainyard.inspect.data_figures import BINS, MAX_OVERLAID, draw_levels, draw_numbers, legend_handles


@pytest.mark.parametrize("classes", [2, 4, 6])
def test_the_marks_of_the_legend_are_those_of_the_classes_in_order(classes: int) -> None:
    axis = Figure().subplots()
    draw_numbers(axis, [torch.full((5,), float(label)) for label in range(classes)], Column("a"))
    found = legend_handles(axis)
    assert len(found) == classes
    width = (classes - 1) / BINS
    for label, mark in enumerate(found):
        if classes <= MAX_OVERLAID:
            corners = mark.get_xy()
            colour, place = mark.get_facecolor(), corners[corners[:, 1] > 0][:, 0].mean()
        else:
            colour = mark.get_facecolor()
            [bar] = [bar for bar in axis.patches if bar.get_facecolor() == colour and bar.get_height() > 0]
            place = bar.get_x() + width / 2
        assert to_rgb(colour) == pytest.approx(to_rgb(f"C{label}"))
        assert place == pytest.approx(label, abs=width), "where its values are"


def test_missing_values_are_not_drawn_and_levels_are_counted() -> None:
    axis = Figure().subplots()
    draw_levels(axis, [torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([1.0, 0.0])], Column("a", ("x", "y")))
    heights = {round(float(bar.get_x()), 1): bar.get_height() for bar in axis.patches}
    assert heights == {-0.2: 1, 0.8: 2, 0.2: 1, 1.2: 0}
