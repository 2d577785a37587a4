"""Learning rates over the epochs, drawn."""

import math

from matplotlib.figure import Figure

from trainyard.figures import save
from trainyard.show.rates import Rates


def draw(rates: Rates, name: str, scale: str) -> None:
    """Draw each course of the learning rate; the axis of the rates is `linear` or `log`."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    for layers, course in rates.courses().items():
        epochs = [step / rates.epoch_steps for step in range(len(course))]
        axis.plot(epochs, [rate or math.nan for rate in course], label=layers)
    axis.set(xlabel="epoch", ylabel="learning rate", yscale=scale)
    if scale == "linear":
        axis.set_ylim(bottom=0)
    if rates.waits:
        axis.set_title("drops when val/loss stops falling, which is not known before", fontsize=10)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    save(figure, name)
