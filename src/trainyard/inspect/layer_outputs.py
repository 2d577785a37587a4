"""`draw layers`: the output of each layer of a network for one image."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.inference.evaluation_data import load_data
from trainyard.io.errors import config_error
from trainyard.io.figures import figure_style, save_figure
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier
from trainyard.tasks.layer_figures import as_images, enlarge, grid

MAX_MAPS = 16  # maps, and kernels, in a row
MAX_LAYERS = 40  # of larger networks, only the blocks are drawn
SIDE = 64  # pixels of a map in the figure, at least
# Layers that change nothing in a trained network.
INACTIVE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@figure_style()
def draw(name: str, example: int = 0, trusted: Sequence[str] = ()) -> None:
    """Draw the outputs of all layers for one validation image into `outputs/draw/layers.png`.

    Each map ranges from its smallest value, black, to its largest, white.

    Args:
        name: of the run.
        example: number of the image among those of validation.
        trusted: packages that a stored config may name beside the known ones.

    Raises:
        ConfigError: there is no such run or image, or the model does not take images.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    model = load_classifier(checkpoint, trusted)
    if model.spec.kind != "images":
        raise config_error(
            "RUN", name, "its model takes rows of a table", "a run on images, such as experiment=shapes_cnn"
        )
    examples = load_data(stored_config(run, trusted=trusted), trusted, model.spec).splits["val"]
    if not 0 <= example < len(examples):
        raise config_error("--example", example, "no such image", f"0 to {len(examples) - 1}")
    image, label = examples.__getitems__([example])
    rows = [(title, as_picture(values)) for title, values in layer_outputs(model, image)]
    rows.insert(0, ("image", enlarge(image[0].float() / 255, SIDE)))
    figure = Figure(figsize=(10, 0.78 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots(len(rows) + 1, 1, height_ratios=[1.0] * len(rows) + [1.4])
    for axis, (title, picture) in zip(axes, rows, strict=False):
        aspect = "auto" if picture.shape[-2] < SIDE else "equal"  # a vector is one pixel high
        axis.imshow(picture.permute(1, 2, 0).numpy(), aspect=aspect, interpolation="nearest")
        axis.set_anchor("W")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=7)
    draw_probabilities(axes[-1], model, image, int(label))
    save_figure(figure, "draw/layers.png")


def layer_outputs(model: Classifier, image: Tensor) -> list[tuple[str, Tensor]]:
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
    outputs: list[tuple[str, Tensor]] = []

    def record(name: str, module: nn.Module, values: Tensor) -> None:
        if isinstance(module, nn.Conv2d) and "kernels" not in dict(outputs):
            outputs.append(("kernels", as_images(module.weight)))
        shape = "x".join(map(str, values.shape[1:]))
        if values.ndim in (2, 4):
            outputs.append((f"{name}\n{type(module).__name__}\n{shape}", values[0].float()))

    hooks = [
        module.register_forward_hook(lambda part, _, out, name=name: record(name, part, out))
        for name, module in layers.items()
    ]
    with torch.no_grad():
        model.forward(image)
    for hook in hooks:
        hook.remove()
    return outputs


def as_picture(values: Tensor) -> Tensor:
    """Return kernels or maps beside each other, or neurons in a row one pixel high, as a picture `[C, H, W]`."""
    if values.ndim == 1:
        return grid(values[None, None, None], 1, 1)
    images = values if values.ndim == 4 else values[:, None]
    return grid(images[:MAX_MAPS], SIDE, MAX_MAPS)


def draw_probabilities(axis: Axes, model: Classifier, image: Tensor, label: int) -> None:
    """Draw the probability of each class; the true class is green."""
    with torch.no_grad():
        probabilities = model.predict_step(image, 0)[0]
    classes = model.spec.classes
    colours = ["tab:green" if number == label else "tab:gray" for number in range(len(classes))]
    axis.bar(range(len(classes)), probabilities.numpy(), color=colours)
    axis.set(ylim=(0, 1), ylabel="probability")
    axis.set_xticks(range(len(classes)), classes if len(classes) <= MAX_MAPS else [""] * len(classes), fontsize=7)
