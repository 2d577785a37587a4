"""The batch size that trains about as fast as any that fits."""

import logging
import math
from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from omegaconf import DictConfig

from trainyard.figures import save
from trainyard.find.pace import Pace, pace_of
from trainyard.find.trials import MIB, trials
from trainyard.untrained import data_of, model_of

FAST = 0.9  # of the highest rate: what is faster than this is not worth fewer steps
STEPS = 10  # of an epoch, at least


def find(cfg: DictConfig) -> None:
    """Print how fast each batch size trains, the smallest that is about the fastest, and the override for it.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    model = model_of(cfg, data, download=True)
    examples = len(data.splits["train"])
    print(f"{'batch size':>10} {'examples/s':>11} {'steps/epoch':>12} {'memory MiB':>11}")
    paces = []
    logging.disable(logging.INFO)  # what a run says of itself, it would say at each size
    try:
        for trial in trials(partial(pace_of, cfg, data, model), examples):
            if isinstance(trial, Pace):
                paces.append(trial)
            print(row(trial, examples) if isinstance(trial, Pace) else trial, flush=True)
    finally:
        logging.disable(logging.NOTSET)
    best = suggestion(paces, examples)
    print(text(best, paces, examples))
    if best is not None:
        draw(best, paces, examples)


def row(pace: Pace, examples: int) -> str:
    """Return the line of a size."""
    if pace.rate is None:
        return f"{pace.batch_size:>10} does not fit in memory"
    memory = f"{pace.memory / MIB:,.0f}" if pace.memory else ""
    return f"{pace.batch_size:>10} {pace.rate:>11,.0f} {steps(pace, examples):>12,} {memory:>11}"


def steps(pace: Pace, examples: int) -> int:
    """Return the steps of an epoch."""
    return math.ceil(examples / pace.batch_size)


def suggestion(paces: Sequence[Pace], examples: int) -> Pace | None:
    """Return the smallest size that is nearly as fast as the fastest of those with enough steps; None if none fits."""
    fitting = [pace for pace in paces if pace.rate]
    chosen = [pace for pace in fitting if steps(pace, examples) >= STEPS] or fitting[:1]
    highest = max((pace.rate or 0.0 for pace in chosen), default=0.0)
    return next((pace for pace in chosen if pace.rate and pace.rate >= FAST * highest), None)


def text(best: Pace | None, paces: Sequence[Pace], examples: int) -> str:
    """Return the suggestion with its reason, and what to type."""
    if best is None:
        return f"{'suggests':<10} nothing: not even {paces[0].batch_size} examples fit"
    lines = [
        f"{'suggests':<10} {best.batch_size}: the smallest, so of the most steps, within {1 - FAST:.0%} of the fastest"
    ]
    fastest = max(paces, key=lambda pace: pace.rate or 0.0)
    if steps(fastest, examples) < STEPS:
        lines.append(
            f"{'':<10} of those with {STEPS} steps an epoch or more; larger ones are faster, but learn less often"
        )
    lines.append(f"{'type':<10} data.batch_size={best.batch_size}")
    lines.append(f"{'then':<10} find.py lr data.batch_size={best.batch_size}: another size wants another rate")
    return "\n".join(lines)


def draw(best: Pace, paces: Sequence[Pace], examples: int) -> None:
    """Draw the rate over the size, and mark the suggestion."""
    fitting = [(pace.batch_size, pace.rate) for pace in paces if pace.rate]
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot([size for size, _ in fitting], [rate for _, rate in fitting], "o-", color="tab:blue")
    if (few := examples / (STEPS - 1)) < fitting[-1][0]:
        axis.axvspan(few, fitting[-1][0], color="tab:gray", alpha=0.2, label=f"fewer than {STEPS} steps an epoch")
    axis.plot(
        best.batch_size, best.rate or 0.0, "o", color="tab:red", markersize=9, label=f"suggested: {best.batch_size}"
    )
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.set(xlabel="batch size", ylabel="examples a second")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    save(figure, "find/batch_size.png")
