"""Which layers learn at which rate in each epoch, before any training."""

from omegaconf import DictConfig

from trainyard.compatibility import check_config, has_backbone
from trainyard.errors import ConfigError
from trainyard.show.rates import Rates, rates_by_step
from trainyard.show.rates_picture import draw
from trainyard.terminal.sparkline import BLOCKS

STRIP = 100  # characters of a strip


def show(cfg: DictConfig) -> None:
    """Print what trains when, and draw it.

    Raises:
        ConfigError: something in the config cannot work, or the model has no layers that could be frozen.
    """
    check_config(cfg)
    if not has_backbone(cfg):
        raise ConfigError(f"model={cfg.run.choices.model}: it has no backbone\n  accepted: model=transfer")
    rates = rates_by_step(cfg)
    print(text(rates), end="\n\n")
    draw(rates, "show/finetune.png", "log")


def text(rates: Rates) -> str:
    """Return a strip for each group, and below them the rates at the end of each epoch, of layers that share them."""
    lines = [f"{'group':<28} {'parameters':>12}  rate by the epoch, {BLOCKS[-1]} is {rates.highest:.2g}, · is frozen"]
    lines += [f"{name:<28} {rates.sizes[name]:>12,}  {rates.strip(name, STRIP)}" for name in rates.groups]
    courses = rates.courses()
    lines += ["", f"{'epoch':>5} " + " ".join(f"{layers:>12}" for layers in courses)]
    for epoch in range(rates.epoch(rates.steps - 1)):
        last = min((epoch + 1) * rates.epoch_steps, rates.steps) - 1
        columns = (f"{course[last]:>12.2e}" if course[last] else f"{'frozen':>12}" for course in courses.values())
        lines.append(f"{epoch + 1:>5} " + " ".join(columns))
    return "\n".join(lines)
