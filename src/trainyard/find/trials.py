"""Batch sizes that are tried, each twice the one before, until there is a reason to stop."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from trainyard.find.pace import LEAST, WARM, Pace

SMALLEST = 8
SECONDS = 60  # of all trials
SLOW = 0.7  # of the highest rate: two sizes below it, and the larger ones are not tried
MIB = 2**20


def trials(try_size: Callable[[int], Pace], examples: int) -> Iterator[Pace | str]:
    """Yield the pace of each size up to the number of training examples; at last why it ended before, if it did."""
    began, paces = time.monotonic(), list[Pace]()
    for size in sizes(examples):
        if reason := obstacle(paces, size, time.monotonic() - began):
            yield f"{size:>10} not tried: {reason}"
            return
        paces.append(try_size(size))
        yield paces[-1]
        if paces[-1].rate is None:
            return


def sizes(examples: int) -> Iterator[int]:
    """Yield the powers of two below the number of training examples, and that number."""
    size = SMALLEST
    while size < examples:
        yield size
        size *= 2
    yield examples


def obstacle(paces: Sequence[Pace], size: int, seconds: float) -> str:
    """Return why the next size is not to be tried, if it is not: on a CPU, one that does not fit would end it all."""
    if len(paces) < 2:
        return ""
    highest, last = max(pace.rate or 0.0 for pace in paces), paces[-1]
    if all((pace.rate or 0.0) < SLOW * highest for pace in paces[-2:]):
        return "larger ones get slower"
    if last.rate and seconds + (WARM + LEAST) * size / last.rate > SECONDS:
        return f"it would take longer than {SECONDS} s in all"
    grown, free = 2 * (last.memory - paces[-2].memory), free_memory()
    if free is not None and grown > free:
        return f"it would take {grown / MIB:,.0f} MiB more, {free / MIB:,.0f} are free"
    return ""


def free_memory() -> int | None:
    """Return the bytes that a process can still get; None where the system does not tell."""
    with suppress(OSError):
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
        if found := re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE):
            return int(found[1]) * 1024
    return None
