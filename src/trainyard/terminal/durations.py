"""Times as a person says them."""


def duration(seconds: float | None) -> str:
    """Return a time in seconds, minutes or hours; nothing where it is not known."""
    if seconds is None:
        return ""
    unit, size = ("h", 3600) if seconds > 5400 else ("min", 60) if seconds > 90 else ("s", 1)
    return f"{seconds / size:.1f} {unit}" if unit == "h" else f"{seconds / size:.0f} {unit}"
