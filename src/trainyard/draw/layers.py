"""What each layer of a network makes of one image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from trainyard.callbacks.layer_figures import as_images, enlarged, grid
from trainyard.errors import reject
from trainyard.evaluation.data_to_test import source
from trainyard.figures import save
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.models.classifier import Classifier
from trainyard.models.load import load_model

COLUMNS = 16  # maps, and kernels, in a row; the others are not drawn
LEAVES = 40  # layers up to which each is drawn; of deeper networks the blocks alone
SIDE = 64  # pixels that a map has at least in the picture


@dataclass(frozen=True)
class Output:
    """What comes out of one layer for one image.

    Attributes:
        title: its place, its kind and the shape.
        values: `[maps, h, w]` or `[neurons]`.
        kernels: that made it, of the first convolution alone, which sees the image itself.
    """

    title: str
    values: Tensor
    kernels: Tensor | None = None


def draw(name: str, example: int = 0, trusted: Sequence[str] = ()) -> None:
    """Draw one validation image on its way through a network into `outputs/draw/layers.png`.

    Each map goes from its least value, black, to its largest, white. What is dropped is shown as one step of training
    would drop it; a trained network drops nothing.

    Args:
        name: of the run, as a person names it.
        example: number of the image among those of validation.
        trusted: packages that a stored config may name beside the known ones.

    Raises:
        ConfigError: no such run, no such image, or a model of something else than images.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    model = load_model(checkpoint, trusted)
    if model.spec.kind != "images":
        raise reject("RUN", name, "its model takes rows of a table", "a run on images, such as experiment=shapes_cnn")
    examples = source(stored_config(run, trusted=trusted), trusted, model.spec).splits["val"]
    if not 0 <= example < len(examples):
        raise reject("--example", example, "there is no such image", f"0 to {len(examples) - 1}")
    image, label = examples.__getitems__([example])
    outputs = outputs_of(model, image)
    rows = [("image", enlarged(image[0].float() / 255, SIDE)), *(row for output in outputs for row in rows_of(output))]
    figure = Figure(figsize=(10, 0.78 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots(len(rows) + 1, 1, height_ratios=[1.0] * len(rows) + [1.4])
    for axis, (title, picture) in zip(axes, rows, strict=False):
        draw_row(axis, title, picture)
    draw_probabilities(axes[-1], model, image, int(label))
    save(figure, "draw/layers.png")


def outputs_of(model: Classifier, image: Tensor) -> list[Output]:
    """Return what comes out of each layer, in the order in which they act, for an image `[1, C, H, W]`."""
    layers = {name: module for name, module in model.named_modules() if not list(module.children()) and name}
    layers = {name: module for name, module in layers.items() if not isinstance(module, nn.Identity)}
    if len(layers) > LEAVES:
        layers = {**model.feature_map_layers()}
    outputs: list[Output] = []

    def keep(name: str, module: nn.Module, inputs: Tensor, values: Tensor) -> None:
        kind = type(module).__name__
        if isinstance(module, _DropoutNd):
            if module.p == 0:
                return
            values = type(module)(module.p)(inputs)
            kind += " while training"
        first = isinstance(module, nn.Conv2d) and not any(output.kernels is not None for output in outputs)
        shape = "x".join(map(str, values.shape[1:]))
        kernels = as_images(module.weight) if first and isinstance(module.weight, Tensor) else None
        outputs.append(Output(f"{name}\n{kind}\n{shape}", values[0].float(), kernels))

    hooks = [
        module.register_forward_hook(lambda part, given, out, name=name: keep(name, part, given[0], out))
        for name, module in layers.items()
    ]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model.forward(image)
    for hook in hooks:
        hook.remove()
    return outputs


def rows_of(output: Output) -> list[tuple[str, Tensor]]:
    """Return the pictures of an output with their titles: the kernels before what they make; maps, or a strip."""
    rows = []
    if output.kernels is not None:
        rows.append(("kernels", grid(output.kernels[:COLUMNS], SIDE, COLUMNS)))
    if output.values.ndim == 3:
        rows.append((output.title, grid(output.values[:COLUMNS, None], SIDE, COLUMNS)))
    elif output.values.ndim == 1:
        rows.append((output.title, grid(output.values[None, None, None], 1, 1)))
    return rows


def draw_row(axis: Axes, title: str, picture: Tensor) -> None:
    """Draw an image `[C, H, W]`; what is one pixel high becomes a strip."""
    strip = picture.shape[-2] < SIDE
    axis.imshow(picture.permute(1, 2, 0).numpy(), aspect="auto" if strip else "equal", interpolation="nearest")
    axis.set_anchor("W")
    axis.set(xticks=[], yticks=[])
    axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=7)


def draw_probabilities(axis: Axes, model: Classifier, image: Tensor, label: int) -> None:
    """Draw how probable each class is, the true one in another colour."""
    with torch.no_grad():
        probabilities = model.predict_step(image, 0)[0]
    classes = model.spec.classes
    colours = ["tab:green" if place == label else "tab:gray" for place in range(len(classes))]
    axis.bar(range(len(classes)), probabilities.numpy(), color=colours)
    axis.set(ylim=(0, 1), ylabel="probability")
    axis.set_xticks(range(len(classes)), classes if len(classes) <= COLUMNS else [""] * len(classes), fontsize=7)
