"""`draw decision` and `draw layers`: the decision regions of a model, and the outputs of its layers for one image."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from trainyard.data.loading.datamodule import DataModule
from trainyard.inference.evaluation_data import load_model_and_data
from trainyard.io.errors import config_error
from trainyard.io.figures import figure_style, save_figure
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.layer_figures import as_images, enlarge, image_grid, record_outputs

RESOLUTION = 300  # points of the plane in each direction
MARGIN = 0.08  # of the range of a measurement, on both sides
MAX_MAPS = 16  # maps, and kernels, in a row
MAX_LAYERS = 40  # of larger networks, only the blocks are drawn
MAP_SIDE = 64  # minimum size of a map in the figure, in pixels
# Layers that have no effect in evaluation mode.
INACTIVE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@figure_style()
def draw_decision(run: str, trusted: Sequence[str] = ()) -> None:
    """Draw the predictions of a run over the plane of two measurements into `outputs/draw/decision.png`.

    The colour of a point mixes the colours of the classes by their probabilities; on the line, two classes are equally
    probable. Dots are training examples, circles validation examples; the test examples are not used.
    """
    model, data = load_model_and_data(run, trusted)
    columns = model.spec.columns
    if len(columns) != 2 or any(column.levels for column in columns):
        inputs = ", ".join(column.name for column in columns) or "images"
        raise config_error(
            "RUN", run, f"its model takes {inputs}", "a run on two measurements, such as experiment=neuron"
        )
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axis = figure.subplots()
    draw_plane(axis, model, data)
    axis.set(xlabel=columns[0].name, ylabel=columns[1].name)
    axis.scatter([], [], s=16, edgecolors="gray", facecolors="none", label="validation")
    axis.legend()
    save_figure(figure, "draw/decision.png")


def draw_plane(axis: Axes, model: SupervisedModel, data: DataModule) -> None:
    """Draw the predictions for each point, and the examples."""
    colours = colormaps["tab10"](np.arange(len(model.spec.classes)) % 10)[:, :3]
    examples = [
        (name, part.x, part.y) for name, part in data.splits.items() if name != "test" and isinstance(part.x, Tensor)
    ]
    points = torch.cat([inputs for _, inputs, _ in examples])
    x, y = (axis_points(points[:, column]) for column in (0, 1))
    grid = torch.cartesian_prod(y, x).flip(1)
    with torch.inference_mode():
        probabilities = model.predict_step(grid, 0).reshape(RESOLUTION, RESOLUTION, -1).numpy()
    extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
    axis.imshow(probabilities @ colours, origin="lower", extent=extent, aspect="auto", alpha=0.35)
    for label, name in enumerate(model.spec.classes):
        lead = probabilities[..., label] - np.delete(probabilities, label, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            axis.contour(x.numpy(), y.numpy(), lead, levels=[0], colors="black", linewidths=1.5)
        for split, inputs, labels in examples:
            x1, x2 = inputs[labels == label].T
            face, text = (colours[label], name) if split == "train" else ("none", None)
            axis.scatter(x1, x2, s=16, edgecolors=[colours[label]], facecolors=[face], label=text)


def axis_points(values: Tensor) -> Tensor:
    """Return evenly spaced points from below the smallest to above the largest value, `[RESOLUTION]`."""
    finite = values[values.isfinite()]
    low, high = finite.min(), finite.max()
    margin = MARGIN * ((high - low) or 1.0)
    return torch.linspace(low - margin, high + margin, RESOLUTION)


@figure_style()
def draw_layers(run: str, example: int = 0, trusted: Sequence[str] = ()) -> None:
    """Draw the outputs of all layers of a run's model for one validation image into `outputs/draw/layers.png`.

    Each map ranges from its smallest value, black, to its largest, white.
    """
    model, data = load_model_and_data(run, trusted)
    if model.spec.kind != "images":
        raise config_error(
            "RUN", run, "its model takes rows of a table", "a run on images, such as experiment=shapes_cnn"
        )
    examples = data.splits["val"]
    if not 0 <= example < len(examples):
        raise config_error("--example", example, "no such image", f"0 to {len(examples) - 1}")
    image, label = examples.__getitems__([example])
    rows = [("image", enlarge(image[0].float() / 255, MAP_SIDE))]
    rows += [(title, as_picture(values)) for title, values in layer_outputs(model, image)]
    figure = Figure(figsize=(10, 0.78 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots(len(rows) + 1, 1, height_ratios=[1.0] * len(rows) + [1.4])
    for axis, (title, picture) in zip(axes, rows, strict=False):
        aspect = "auto" if picture.shape[-2] < MAP_SIDE else "equal"  # a vector is one pixel high
        axis.imshow(picture.permute(1, 2, 0).numpy(), aspect=aspect, interpolation="nearest")
        axis.set_anchor("W")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=7)
    draw_probabilities(axes[-1], model, image, int(label))
    save_figure(figure, "draw/layers.png")


def layer_outputs(model: SupervisedModel, image: Tensor) -> list[tuple[str, Tensor]]:
    """Return title and output of each layer for an image `[1, C, H, W]`, in the order of the forward pass.

    An output is `[maps, h, w]` or `[neurons]`. The kernels of the first convolution, as images `[N, C, h, w]`, precede
    its output.
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if name and not list(module.children()) and not isinstance(module, INACTIVE)
    }
    if len(layers) > MAX_LAYERS:
        layers = {**model.feature_map_layers()}
    rows: list[tuple[str, Tensor]] = []
    for name, values in record_outputs(model, layers, image).items():
        layer = layers[name]
        if isinstance(layer, nn.Conv2d) and "kernels" not in dict(rows):
            rows.append(("kernels", as_images(layer.weight)))
        if values.ndim in (2, 4):
            shape = "x".join(map(str, values.shape[1:]))
            rows.append((f"{name}\n{type(layer).__name__}\n{shape}", values[0]))
    return rows


def as_picture(values: Tensor) -> Tensor:
    """Return kernels or maps side by side, or neurons in a row one pixel high, as a picture `[C, H, W]`."""
    if values.ndim == 1:
        return image_grid(values[None, None, None], 1, 1)
    images = values if values.ndim == 4 else values[:, None]
    return image_grid(images[:MAX_MAPS], MAP_SIDE, MAX_MAPS)


def draw_probabilities(axis: Axes, model: SupervisedModel, image: Tensor, label: int) -> None:
    """Draw the probability of each class; the true class is green."""
    with torch.no_grad():
        probabilities = model.predict_step(image, 0)[0]
    classes = model.spec.classes
    colours = ["tab:green" if number == label else "tab:gray" for number in range(len(classes))]
    axis.bar(range(len(classes)), probabilities.numpy(), color=colours)
    axis.set(ylim=(0, 1), ylabel="probability")
    axis.set_xticks(range(len(classes)), classes if len(classes) <= MAX_MAPS else [""] * len(classes), fontsize=7)
