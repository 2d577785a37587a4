"""Numbers as text."""

import pytest

from trainyard.terminal.formats import format_duration


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (4.4, "4 s"), (90, "90 s"), (91, "2 min"), (5400, "90 min"), (9000, "2.5 h")]
)
def test_durations(seconds: float | None, said: str) -> None:
    assert format_duration(seconds) == said
