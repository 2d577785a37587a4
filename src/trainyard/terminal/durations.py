"""Durations as text."""


def duration(seconds: float | None) -> str:
    """Return a duration in seconds, minutes or hours; an empty text for `None`."""
    if seconds is None:
        return ""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
