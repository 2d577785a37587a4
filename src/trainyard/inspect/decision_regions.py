"""`draw decision`: the predictions of a model of two measurements over their plane."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.inference.evaluation_data import load_data
from trainyard.io.errors import config_error
from trainyard.io.figures import figure_style, save_figure
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier

SIDE = 300  # points of the plane in each direction
MARGIN = 0.08  # of the range of a measurement, on both sides


@figure_style()
def draw(name: str, trusted: Sequence[str] = ()) -> None:
    """Draw the plane of two measurements into `outputs/draw/decision.png`.

    The colour of a point mixes the colours of the classes by their probabilities; on the line, two classes are equally
    probable. Dots are training examples, circles validation examples; the test examples are not used.

    Args:
        name: of the run.
        trusted: packages that a stored config may name beside the known ones.

    Raises:
        ConfigError: there is no such run, or its model takes other inputs than two numbers.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    model = load_classifier(checkpoint, trusted)
    columns = model.spec.columns
    if len(columns) != 2 or any(column.levels for column in columns):
        takes = ", ".join(column.name for column in columns) or "images"
        raise config_error(
            "RUN", name, f"its model takes {takes}", "a run on two measurements, such as experiment=neuron"
        )
    data = load_data(stored_config(run, trusted=trusted), trusted, model.spec)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axis = figure.subplots()
    draw_plane(axis, model, data)
    axis.set(xlabel=columns[0].name, ylabel=columns[1].name)
    axis.scatter([], [], s=16, edgecolors="gray", facecolors="none", label="validation")
    axis.legend()
    save_figure(figure, "draw/decision.png")


def draw_plane(axis: Axes, model: Classifier, data: DataModule) -> None:
    """Draw the predictions for each point, and the examples."""
    colours = colormaps["tab10"](np.arange(len(model.spec.classes)) % 10)[:, :3]
    examples = [
        (name, part.x, part.y) for name, part in data.splits.items() if name != "test" and isinstance(part.x, Tensor)
    ]
    points = torch.cat([inputs for _, inputs, _ in examples])
    x, y = (axis_points(points[:, column]) for column in (0, 1))
    grid = torch.cartesian_prod(y, x).flip(1)
    with torch.inference_mode():
        shares = model.predict_step(grid, 0).reshape(SIDE, SIDE, -1).numpy()
    extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    axis.imshow(shares @ colours, origin="lower", extent=extent, aspect="auto", alpha=0.35)
    for label, name in enumerate(model.spec.classes):
        lead = shares[..., label] - np.delete(shares, label, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axis.contour(x.numpy(), y.numpy(), lead, levels=[0], colors="black", linewidths=1.5)
        for split, inputs, labels in examples:
            x1, x2 = inputs[labels == label].T
            face, text = (colours[label], name) if split == "train" else ("none", None)
            axis.scatter(x1, x2, s=16, edgecolors=[colours[label]], facecolors=[face], label=text)


def axis_points(values: Tensor) -> Tensor:
    """Return evenly spaced points from below the smallest to above the largest value, `[SIDE]`."""
    known = values[values.isfinite()]
    low, high = known.min(), known.max()
    margin = MARGIN * ((high - low) or 1.0)
    return torch.linspace(low - margin, high + margin, SIDE)
