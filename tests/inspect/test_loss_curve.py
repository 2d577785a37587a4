"""What a range test suggests, on curves whose steepest place is known."""

import math

import pytest

from trainyard.inspect.learning_rate import LossCurve


def curve(losses: list[float]) -> LossCurve:
    return LossCurve([1e-6 * 10 ** (step / 10) for step in range(len(losses))], losses)


def falling(start: float, end: float, steepest: int, steps: int = 70) -> list[float]:
    """A loss that falls along a sigmoid, and explodes at the end."""
    way = [end + (start - end) / (1 + math.exp((step - steepest) / 4)) for step in range(steps)]
    return [*way, *(end + 3.0**number for number in range(1, 6))]


@pytest.mark.parametrize("steepest", [30, 45])
def test_the_steepest_fall_is_suggested(steepest: int) -> None:
    found = curve(falling(2.3, 0.5, steepest)).suggestion
    assert found is not None
    assert abs(found - steepest) <= 1


def test_noise_at_tiny_rates_is_not_taken_for_a_fall() -> None:
    losses = falling(2.3, 0.5, 40)
    losses[12] += 0.6
    losses[13] -= 0.6
    assert curve(losses).suggestion == pytest.approx(40, abs=1)


@pytest.mark.parametrize(
    "losses",
    [[2.3] * 60, falling(2.3, 2.2, 30), [2.3 + 0.05 * step for step in range(60)], falling(2.3, 0.5, 5, 12)],
    ids=["flat", "falls by 4 percent", "rises", "too short"],
)
def test_where_nothing_clear_happens_nothing_is_suggested(losses: list[float]) -> None:
    assert curve(losses).suggestion is None


def test_the_smooth_course_of_a_straight_line_is_that_line_but_at_its_ends() -> None:
    smooth = curve([float(step) for step in range(60)]).smooth
    assert smooth[15:45].tolist() == pytest.approx(list(range(15, 45)), abs=1e-3)
