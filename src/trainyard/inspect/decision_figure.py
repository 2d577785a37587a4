"""`draw decision`: what a model of two measurements predicts over their plane."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.target import Classes, Labels
from trainyard.inference.evaluation_data import load_model_and_data
from trainyard.io.errors import config_error
from trainyard.io.figures import figure_style, save_figure
from trainyard.models.supervised import SupervisedModel

RESOLUTION = 300  # points of the plane in each direction
MARGIN = 0.08  # of the range of a measurement, on both sides
MAX_PANELS = 6  # numbers or labels


@figure_style()
def draw_decision(run: str, trusted: Sequence[str] = ()) -> None:
    """Draw the predictions of a run over the plane of two measurements into `outputs/draw/decision.png`.

    The colour of a point mixes the colours of the classes by their probabilities; on the line, two classes are equally
    probable, or the second of two has the threshold of the model. Dots are training examples, circles validation
    examples; the test examples are not used. Each number or label has a panel, see `draw_values`.
    """
    model, data = load_model_and_data(run, trusted)
    columns, target = model.spec.columns, model.spec.target
    if len(columns) != 2 or any(column.levels for column in columns):
        inputs = ", ".join(column.name for column in columns) or "images"
        raise config_error(
            "RUN", run, f"its model takes {inputs}", "a run on two measurements, such as experiment=neuron"
        )
    panels = 1 if isinstance(target, Classes) else len(target.names)
    if panels > MAX_PANELS:
        raise config_error("RUN", run, f"its model predicts {panels} numbers or labels", f"up to {MAX_PANELS}")
    figure = Figure(figsize=(6 * panels, 4.5), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    plane = Plane.of(model, data)
    if isinstance(target, Classes):
        draw_classes(axes[0], model, plane)
    else:
        for number, axis in enumerate(axes):
            draw_values(axis, model, plane, number)
    for axis in axes:
        axis.set(xlabel=columns[0].name, ylabel=columns[1].name)
        axis.legend()
    save_figure(figure, "draw/decision.png")


@dataclass(frozen=True)
class Plane:
    """The predictions of a model for a grid of two measurements, and the examples in it."""

    x: Tensor  # [RESOLUTION]
    y: Tensor  # [RESOLUTION]
    predictions: Tensor  # [RESOLUTION, RESOLUTION, K], by y and x
    examples: list[tuple[str, Tensor, Tensor]]  # split, inputs and targets

    @classmethod
    def of(cls, model: SupervisedModel, data: DataModule) -> "Plane":
        """Predict a grid that contains all examples of training and validation."""
        splits = [(name, part) for name, part in data.splits.items() if name != "test"]
        examples = [(name, part.x, part.y) for name, part in splits if isinstance(part.x, Tensor)]
        points = torch.cat([inputs for _, inputs, _ in examples])
        x, y = (axis_points(points[:, column]) for column in (0, 1))
        with torch.inference_mode():
            predictions = model.predict_step(torch.cartesian_prod(y, x).flip(1), 0)
        return cls(x, y, predictions.reshape(RESOLUTION, RESOLUTION, -1), examples)

    def paint(self, axis: Axes, colours: Tensor, **options: Any) -> AxesImage:
        """Draw numbers or colours of the grid, `[RESOLUTION, RESOLUTION]` or `[RESOLUTION, RESOLUTION, 3]`."""
        extent = (float(self.x[0]), float(self.x[-1]), float(self.y[0]), float(self.y[-1]))
        return axis.imshow(colours.numpy(), origin="lower", extent=extent, aspect="auto", **options)

    def outline(self, axis: Axes, values: Tensor, level: float) -> None:
        """Draw the line on which values of the grid reach a level."""
        if values.min() < level < values.max():
            grid = self.x.numpy(), self.y.numpy(), values.numpy()
            axis.contour(*grid, levels=[level], colors="black", linewidths=1.5)


def draw_classes(axis: Axes, model: SupervisedModel, plane: Plane) -> None:
    """Draw the regions of the classes, and the examples."""
    colours = torch.tensor(colormaps["tab10"](np.arange(len(model.spec.classes)) % 10)[:, :3], dtype=torch.float32)
    plane.paint(axis, (plane.predictions @ colours).clamp(0, 1), alpha=0.35)
    for label, name in enumerate(model.spec.classes):
        probability = plane.predictions[..., label]
        others = plane.predictions[..., torch.arange(len(model.spec.classes)) != label]
        if not model.task.thresholds:
            plane.outline(axis, probability - others.amax(dim=-1), 0.0)
        elif label == 1:
            plane.outline(axis, probability, model.task.thresholds[0])
        for split, inputs, labels in plane.examples:
            x1, x2 = inputs[labels == label].T
            colour = to_hex(colormaps["tab10"](label % 10))
            face, text = (colour, name) if split == "train" else ("none", None)
            axis.scatter(x1, x2, s=16, edgecolors=colour, facecolors=face, label=text)
    axis.scatter([], [], s=16, edgecolors="gray", facecolors="none", label="validation")


def draw_values(axis: Axes, model: SupervisedModel, plane: Plane, number: int) -> None:
    """Draw a predicted number, or the probability of a label with a line at its threshold.

    Dots are examples, in the colours of their true values; those of training have a white edge, of validation a red
    one.
    """
    values, name = plane.predictions[..., number], model.spec.target.names[number]
    is_label = isinstance(model.spec.target, Labels)
    if is_label:
        norm, title, extend = Normalize(0, 1), f"probability of {name}", "neither"
    else:
        targets = torch.cat([targets[:, number] for _, _, targets in plane.examples])
        norm, title, extend = Normalize(float(targets.min()), float(targets.max())), name, "both"
    image = plane.paint(axis, values, cmap="viridis", norm=norm)
    axis.figure.colorbar(image, ax=axis, label=title, extend=extend)
    if is_label and model.task.thresholds:
        plane.outline(axis, values, model.task.thresholds[number])
    for split, inputs, y in plane.examples:
        x1, x2 = inputs.T
        edge, text = ("white", "training") if split == "train" else ("tab:red", "validation")
        style: dict[str, Any] = {"s": 22, "edgecolors": edge, "linewidths": 0.7, "label": text}
        axis.scatter(x1, x2, c=y[:, number].numpy(), cmap=image.cmap, norm=norm, **style)


def axis_points(values: Tensor) -> Tensor:
    """Return evenly spaced points from below the smallest to above the largest value, `[RESOLUTION]`."""
    finite = values[values.isfinite()]
    low, high = finite.min(), finite.max()
    margin = MARGIN * ((high - low) or 1.0)
    return torch.linspace(low - margin, high + margin, RESOLUTION)
