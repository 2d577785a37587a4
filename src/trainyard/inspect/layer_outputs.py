"""`draw layers`: the outputs of the layers of a model for one image."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from trainyard.data.loading.target import Labels, Numbers
from trainyard.inference.evaluation_data import load_model_and_data
from trainyard.io.errors import config_error
from trainyard.io.figures import figure_style, save_figure
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.layer_figures import as_images, enlarge, image_grid, record_outputs

MAX_MAPS = 16  # maps, and kernels, in a row
MAX_LAYERS = 40  # of larger networks, only the blocks are drawn
MAX_LINES = 8  # of predicted numbers
MAP_SIDE = 64  # minimum size of a map in the figure, in pixels
# Layers that have no effect in evaluation mode.
INACTIVE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


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
    image, [true] = examples.__getitems__([example])
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
    draw_predictions(axes[-1], model, image, true)
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


def draw_predictions(axis: Axes, model: SupervisedModel, image: Tensor, true: Tensor) -> None:
    """Draw the probability of each class or label, green if it is true, or write predicted and true numbers."""
    target = model.spec.target
    with torch.no_grad():
        predictions = model.predict_step(image, 0)[0]
    if isinstance(target, Numbers):
        rows = zip(target.names, predictions.tolist(), true.tolist(), strict=True)
        lines = [f"{name}: predicted {predicted:.4g}, true {number:.4g}" for name, predicted, number in rows]
        axis.text(0, 1, "\n".join(lines[:MAX_LINES]), va="top", fontsize=8)
        axis.set_axis_off()
        return
    places = range(len(target.names))
    present = true.tolist() if true.ndim else [place == int(true) for place in places]
    axis.bar(places, predictions.numpy(), color=["tab:green" if is_true else "tab:gray" for is_true in present])
    if isinstance(target, Labels):
        for place, threshold in enumerate(model.task.thresholds):
            axis.hlines(threshold, place - 0.4, place + 0.4, colors="black", linewidths=1)
    axis.set(ylim=(0, 1), ylabel="probability")
    axis.set_xticks(places, target.names if len(places) <= MAX_MAPS else [""] * len(places), fontsize=7)
