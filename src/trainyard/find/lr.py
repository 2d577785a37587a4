"""The learning rate that a range test suggests."""

from matplotlib.figure import Figure
from omegaconf import DictConfig

from trainyard.compatibility import has_backbone
from trainyard.figures import save
from trainyard.find.loss_curve import LossCurve
from trainyard.find.range_test import range_test

STEPS = 100


def find(cfg: DictConfig, steps: int | None = None) -> None:
    """Print the rate at which the loss falls fastest and the override for it, and draw the loss over the rate.

    Raises:
        ConfigError: something in the config cannot work.
    """
    curve = range_test(cfg, steps or STEPS)
    print(text(curve, cfg))
    draw(curve)


def text(curve: LossCurve, cfg: DictConfig) -> str:
    """Return what was tried, and what it suggests."""
    lines = [f"{'tried':<10} {len(curve.rates)} steps, rates from {curve.rates[0]:.0e} to {curve.rates[-1]:.2g}"]
    smooth, best = curve.smooth, curve.suggestion
    if best is None:
        lines.append(f"{'suggests':<10} nothing clear: the loss stays near {smooth[0]:.3g}, whatever the rate")
        return "\n".join([*lines, f"{'':<10} more steps may tell: --steps {4 * STEPS}"])
    lowest = int(smooth.argmin())
    lines.append(
        f"{'suggests':<10} {curve.rates[best]:.2g}, where the loss falls fastest on its way from {smooth[0]:.3g} "
        f"to {smooth[lowest]:.3g} at {curve.rates[lowest]:.2g}"
    )
    if has_backbone(cfg) and any(cfg.finetune.thaw):
        lines.append(f"{'':<10} for what learns from the start: layers that join later were frozen")
    plus = "" if "lr" in cfg.optimizer else "+"
    return "\n".join([*lines, f"{'type':<10} {plus}optimizer.lr={curve.rates[best]:.2g}"])


def draw(curve: LossCurve) -> None:
    """Draw the loss of each step and its smooth course, and mark the suggestion."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    smooth, best = curve.smooth, curve.suggestion
    axis.plot(curve.rates, curve.losses, ".", color="tab:gray", alpha=0.6, label="of a batch")
    axis.plot(curve.rates, smooth.tolist(), color="tab:blue", label="smooth")
    if best is not None:
        label = f"steepest at {curve.rates[best]:.2g}"
        axis.plot(curve.rates[best], float(smooth[best]), "o", color="tab:red", markersize=9, label=label)
        axis.axvline(curve.rates[best], color="tab:red", alpha=0.3)
    low, start = float(smooth.min()), float(smooth[0])
    axis.set(xlabel="learning rate", ylabel="training loss", xscale="log")
    axis.set_ylim(max(0.0, low - 0.3 * start), 1.5 * start)  # where it explodes, how high tells nothing
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    save(figure, "find/lr.png")
