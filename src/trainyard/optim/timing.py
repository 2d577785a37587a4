"""The learning rate of parameters that join a run late, or whose schedule starts anew."""

from collections.abc import Callable, Sequence

Cycle = Callable[[int, int], float]
"""Factor of a schedule at a step, of so many steps."""


def timed(
    cycle: Cycle,
    total_steps: int,
    joins: int = 0,
    warmup_steps: int = 0,
    restarts: Sequence[int] = (),
    restart_lr_factor: float = 1.0,
) -> Callable[[int], float]:
    """Return the factor of the learning rate at each step.

    Args:
        cycle: the schedule.
        total_steps: of the run.
        joins: step before which the factor is 0.
        warmup_steps: from then on, over which the factor rises to the schedule's.
        restarts: steps at which the schedule starts anew, to end at the next of them or with the run.
        restart_lr_factor: of all rates, once more after each restart.
    """

    def at(step: int) -> float:
        if step < joins:
            return 0.0
        starts = [0, *(restart for restart in restarts if restart <= step)]
        end = next((restart for restart in restarts if restart > step), total_steps)
        rise = min(1.0, (step - joins + 1) / warmup_steps) if warmup_steps else 1.0
        again = restart_lr_factor ** (len(starts) - 1)
        return rise * again * cycle(step - starts[-1], end - starts[-1])

    return at
