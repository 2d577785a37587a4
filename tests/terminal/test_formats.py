"""Numbers and curves as text."""

import math

import pytest

from trainyard.terminal.formats import BLOCKS, format_duration, format_score, sparkline


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (90, "90 s"), (91, "2 min"), (5400, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("score", "text"),
    [
        *((0.98765, "0.9877"), (0.0, "0.0000"), (-1e-17, "0.0000"), (1e-17, "0.0000"), (-0.5, "-0.5000")),
        *((0.00006, "0.0001"), (1.8142e-6, "1.81e-06"), (74293.12, "74293.1200"), (8.4323e20, "8.4323e+20")),
        *((math.inf, "inf"), (math.nan, "nan")),
    ],
)
def test_scores(score: float, text: str) -> None:
    assert format_score(score) == text


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, BLOCKS),
        ([5.0, -2.0, 1.5], 40, "█▁▅"),
        ([3.0], 10, "▅"),
        ([2, 2, 2], 10, "▅▅▅"),  # a constant is in the middle
        ([0, 0, 10, 0, 10, 10], 3, "▁▅█"),  # means of 0, 5 and 10
        ([1, math.nan, math.inf, 0], 4, "█  ▁"),
        ([math.nan], 4, " "),
    ],
)
def test_sparklines(values: list[float], width: int, line: str) -> None:
    assert sparkline(values, width) == line


def test_a_long_curve_has_the_given_width() -> None:
    assert len(sparkline(range(500), 40)) == 40
