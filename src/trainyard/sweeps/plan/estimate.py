"""What all jobs of a sweep take together."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trainyard.sweeps.plan.cost import Cost


@dataclass(frozen=True)
class Estimate:
    """What jobs take together.

    Attributes:
        work: seconds of all jobs, one after the other.
        seconds: with so many at a time.
        memory, gpu: bytes of the largest that may run side by side, with what they share and what starts them.
        disk: bytes that they leave.
    """

    work: float
    seconds: float
    memory: float
    gpu: float
    disk: float


def estimate(jobs: Sequence[tuple[Cost, float]], slots: int, keep: int | None = None, command: float = 0.0) -> Estimate:
    """Return what jobs take.

    Args:
        jobs: cost and epochs of each, in the order of their start.
        slots: jobs at a time.
        keep: number of jobs whose checkpoints stay; `None` for all.
        command: bytes of the process that starts the jobs.
    """
    times = [cost.seconds(epochs) for cost, epochs in jobs]
    weights = largest((cost.weights for cost, _ in jobs), len(jobs) if keep is None else keep)
    shared = max((cost.server for cost, _ in jobs), default=0.0)
    return Estimate(
        work=sum(times),
        seconds=side_by_side(times, slots),
        memory=command + shared + largest((cost.memory for cost, _ in jobs), slots),
        gpu=largest((cost.gpu for cost, _ in jobs), slots),
        disk=sum(cost.disk(epochs) for cost, epochs in jobs) + weights,
    )


def side_by_side(times: Iterable[float], slots: int) -> float:
    """Return the seconds until the last of jobs ends, when each starts in the first slot that is free."""
    free = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def largest(sizes: Iterable[float], count: int) -> float:
    """Return the sum of the largest of some sizes."""
    return sum(heapq.nlargest(count, sizes))
