"""What a model says of every pair of two measurements, and where it changes its mind."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.errors import reject
from trainyard.evaluation.data_to_test import source
from trainyard.figures import save
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.models.classifier import Classifier
from trainyard.models.load import load_model

SIDE = 300  # points of the plane in each direction
MARGIN = 0.08  # of the range of a measurement, beyond its least and its largest


def draw(name: str, trusted: Sequence[str] = ()) -> None:
    """Draw the plane of two measurements into `outputs/draw/decision.png`.

    The colour of a point is the mixture of the classes' colours by their probabilities; the line is where two classes
    are equally probable. Dots are training examples, rings those of validation; the test examples stay unseen.

    Args:
        name: of the run, as a person names it.
        trusted: packages that a stored config may name beside the known ones.

    Raises:
        ConfigError: no such run, or its model takes other inputs than two numbers.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    model = load_model(checkpoint, trusted)
    columns = model.spec.columns
    if len(columns) != 2 or any(column.levels for column in columns):
        takes = ", ".join(column.name for column in columns) or "images"
        raise reject("RUN", name, f"its model takes {takes}", "a run on two measurements, such as experiment=neuron")
    data = source(stored_config(run, trusted=trusted), trusted, model.spec)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    with rc_context({"text.parse_math": False}):  # a name may have a $ in it
        axis = figure.subplots()
        draw_plane(axis, model, data)
        axis.set(xlabel=columns[0].name, ylabel=columns[1].name)
        axis.scatter([], [], s=16, edgecolors="gray", facecolors="none", label="validation")
        axis.legend(fontsize=8)
        save(figure, "draw/decision.png")


def draw_plane(axis: Axes, model: Classifier, data: DataModule) -> None:
    """Draw what a model says of each point, and the examples."""
    colours = colormaps["tab10"](np.arange(len(model.spec.classes)) % 10)[:, :3]
    examples = {name: (part.x, part.y) for name, part in data.splits.items() if name != "test"}
    points = torch.cat([x for x, _ in examples.values() if isinstance(x, Tensor)])
    x, y = (stretched(points[:, place]) for place in (0, 1))
    grid = torch.cartesian_prod(y, x).flip(1)  # rows of a picture go upwards
    with torch.inference_mode():
        shares = model.predict_step(grid, 0).reshape(SIDE, SIDE, -1).numpy()
    extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    axis.imshow(shares @ colours, origin="lower", extent=extent, aspect="auto", alpha=0.35)
    for place in range(shares.shape[-1]):
        lead = shares[..., place] - np.delete(shares, place, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axis.contour(x.numpy(), y.numpy(), lead, levels=[0], colors="black", linewidths=1.5)
    for place, name in enumerate(model.spec.classes):
        for split, (inputs, labels) in examples.items():
            assert isinstance(inputs, Tensor)
            mine, seen = inputs[labels == place], split == "train"
            face = colours[place] if seen else "none"
            label = name if seen else None
            axis.scatter(mine[:, 0], mine[:, 1], s=16, edgecolors=[colours[place]], facecolors=[face], label=label)


def stretched(values: Tensor) -> Tensor:
    """Return numbers from a little below the least value to a little above the largest, `[SIDE]`."""
    known = values[values.isfinite()]
    low, high = known.min(), known.max()
    margin = MARGIN * ((high - low) or 1.0)
    return torch.linspace(low - margin, high + margin, SIDE)
