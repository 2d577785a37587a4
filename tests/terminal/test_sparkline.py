"""Curves in one line of text."""

import math

import pytest

from trainyard.terminal.formats import BLOCKS, sparkline


def test_the_lowest_and_the_highest_value_have_the_lowest_and_the_highest_character() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BLOCKS
    assert sparkline([5.0, -2.0, 1.5], 40) == "█▁▅"


@pytest.mark.parametrize(("values", "line"), [([3.0], "▅"), ([2, 2, 2], "▅▅▅")])
def test_a_constant_is_in_the_middle(values: list[float], line: str) -> None:
    assert sparkline(values, 10) == line


def test_neighbours_of_a_long_curve_are_averaged() -> None:
    assert sparkline([0, 0, 10, 0, 10, 10], 3) == "▁▅█", "means of 0, 5 and 10"
    assert len(sparkline(range(500), 40)) == 40


def test_values_that_are_not_finite_are_spaces() -> None:
    assert sparkline([1, math.nan, math.inf, 0], 4) == "█  ▁"
    assert sparkline([math.nan], 4) == " "
