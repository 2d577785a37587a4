"""The learning rate over a run, before any training."""

from omegaconf import DictConfig

from trainyard.show.rates import Rates, rates_by_step
from trainyard.show.rates_picture import draw
from trainyard.terminal.sparkline import BLOCKS

STRIP = 40  # characters of a strip


def show(cfg: DictConfig) -> None:
    """Print the rates of each parameter group, and draw them.

    Raises:
        ConfigError: something in the config cannot work.
    """
    rates = rates_by_step(cfg)
    print(text(rates), end="\n\n")
    draw(rates, "show/schedule.png", "linear")


def text(rates: Rates) -> str:
    """Return a line a group: its first, its highest and its last rate with their epochs, and its course as a strip."""
    width, last = max(len("group"), *map(len, rates.groups)), rates.steps - 1
    head = "".join(f"{place + ' (epoch)':>16}" for place in ("first", "peak", "last"))
    lines = [f"{'group':<{width}} {'parameters':>12}{head}  by the epoch, {BLOCKS[-1]} is {rates.highest:.3g}"]
    for name, course in rates.groups.items():
        first = next((step for step, rate in enumerate(course) if rate), 0)
        steps = (first, course.index(max(course)), last)
        places = "".join(f"{course[step]:>10.2e} {f'({rates.epoch(step)})':>5}" for step in steps)
        lines.append(f"{name:<{width}} {rates.sizes[name]:>12,}{places}  {rates.strip(name, STRIP)}")
    lines.append(f"steps      {rates.epoch_steps} an epoch, {rates.steps} in all")
    if rates.waits:
        lines.append("the rate drops when val/loss stops falling: before a run, its start is all that is known")
    return "\n".join(lines)
