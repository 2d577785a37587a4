"""Which layers learn at which rate in each epoch, before any training: `python scripts/show_finetune.py [OVERRIDE]`.

Takes what `train.py` takes, such as `model=transfer finetune=gradual trainer.max_epochs=10`; no weights are needed.
Prints the rate of each group of layers at the end of each epoch, and its course as a strip; draws the curves.
"""

import math
import sys
from pathlib import Path

import torch
from omegaconf import DictConfig

from trainyard.cli import short_errors
from trainyard.compatibility import check_complete, check_finetune, check_model_fits_data, has_backbone
from trainyard.config import compose, instantiate
from trainyard.errors import ConfigError
from trainyard.ranges import check_ranges

PICTURE = Path("outputs") / "finetune.png"
BARS = "▁▂▃▄▅▆▇█"

Rates = dict[str, list[float]]


def rates_by_step(cfg: DictConfig) -> tuple[Rates, dict[str, int], int]:
    """Return the rate of each group at each step of the run, its number of parameters, and the steps of an epoch."""
    data = instantiate(cfg.data, order_seed=cfg.seed)
    check_model_fits_data(cfg, data.spec)
    parts = {group: instantiate(cfg[group]) for group in ("optimizer", "scheduler", "finetune")}
    cfg.model.weights = "none"
    model = instantiate(cfg.model, spec=data.spec, **parts)
    batches = math.ceil(len(data.splits["train"]) / data.batch_size)
    epoch_steps = math.ceil(batches / cfg.trainer.accumulate_grad_batches)
    total_steps = epoch_steps * cfg.trainer.max_epochs
    built = model.optimizer_and_schedule(total_steps, epoch_steps)
    schedule, groups = built.get("lr_scheduler"), built["optimizer"].param_groups
    rates: Rates = {group["name"]: [] for group in groups}
    sizes = {group["name"]: sum(p.numel() for p in group["params"]) for group in groups}
    for step in range(total_steps):
        for group in groups:  # torch's own schedules know nothing of parts that join later
            rates[group["name"]].append(group["lr"] if step >= group["timing"]["joins"] else 0.0)
        built["optimizer"].step()
        if schedule and schedule["interval"] == "step":
            schedule["scheduler"].step()
    return rates, sizes, epoch_steps


def strip(rates: list[float], highest: float, epoch_steps: int) -> str:
    """Return a character an epoch, as high as the rate at its middle; a point where nothing learns."""
    middles = rates[epoch_steps // 2 :: epoch_steps]
    return "".join("·" if rate == 0 else BARS[min(7, int(8 * rate / highest))] for rate in middles)


def show(rates: Rates, sizes: dict[str, int], epoch_steps: int) -> None:
    """Print a strip for each group, and below them the rates of those of weights, epoch by epoch."""
    highest = max(max(course) for course in rates.values())
    print(f"{'group':<28} {'parameters':>12}  rate by the epoch, {BARS[-1]} is {highest:.2g}, · is frozen")
    for name, course in rates.items():
        print(f"{name:<28} {sizes[name]:>12,}  {strip(course, highest, epoch_steps)}")
    bands = {name.removesuffix("_weights"): course for name, course in rates.items() if name.endswith("_weights")}
    print(f"\n{'epoch':>5} " + " ".join(f"{name:>12}" for name in bands))
    for epoch in range(len(next(iter(bands.values()))) // epoch_steps):
        last = (epoch + 1) * epoch_steps - 1
        columns = (f"{course[last]:>12.2e}" if course[last] else f"{'frozen':>12}" for course in bands.values())
        print(f"{epoch + 1:>5} " + " ".join(columns))


def draw(rates: Rates, epoch_steps: int) -> None:
    """Draw the rate of each group of weights over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for name, course in rates.items():
        if name.endswith("_weights"):
            epochs = [step / epoch_steps for step in range(len(course))]
            axis.plot(epochs, [rate or math.nan for rate in course], label=name.removesuffix("_weights"))
    axis.set(xlabel="epoch", ylabel="learning rate", yscale="log")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)
    print(f"\nlook       {PICTURE}")


def main() -> None:
    """Compose, print and write."""
    with short_errors():
        cfg = compose(sys.argv[1:])
        check_complete(cfg)
        check_ranges(cfg)
        check_finetune(cfg)
        if not has_backbone(cfg):
            raise ConfigError(f"model={cfg.run.choices.model}: it has no backbone\n  accepted: model=transfer")
        torch.manual_seed(cfg.seed)
        rates, sizes, epoch_steps = rates_by_step(cfg)
        show(rates, sizes, epoch_steps)
        draw(rates, epoch_steps)


if __name__ == "__main__":
    main()
