"""Data sets that need no download: handwritten digits, penguins, and generated images of shapes.

Digits: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0; its test part, as in scikit-learn's `load_digits`. `digits.npy.xz` contains
an array uint8 `[65, 1797]`: 64 pixels (0 to 16) and the label of each digit. (scikit-learn would bring SciPy, which
makes `import lightning` a second slower.)

Penguins: A. M. Horst, A. P. Hill, K. B. Gorman, "palmerpenguins", 2020, https://doi.org/10.5281/zenodo.3960218, CC0.
"""

import lzma
import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.loading.target import Classes, Numbers
from trainyard.data.sources.table import Rows
from trainyard.data.tables.table_files import as_list
from trainyard.io.errors import config_error, did_you_mean, join_limited

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
MEASUREMENTS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
DEFAULT_SHAPES = ("circle", "square", "triangle")
CHUNK = 256  # images drawn at a time; bounds the memory


def select_names(key: str, given: Any, known: Sequence[str], least: int) -> tuple[str, ...]:
    """Return one name or several as a tuple; raise a ConfigError for unknown, repeated and fewer than `least` names."""
    names = tuple(as_list(given))
    for name in names:
        if name not in known:
            raise config_error(key, name, f"unknown{did_you_mean(name, known)}", join_limited(known))
    if len(set(names)) < max(least, len(names)):
        raise config_error(key, list(names), "too few or repeated names", f"at least {least} of {join_limited(known)}")
    return names


class Digits(DataModule):
    """1,797 handwritten digits: images 1x8x8, 10 classes.

    Args:
        digits: at least two, in the order of the labels.
        shared: arguments of `DataModule`.
    """

    kind = "images"

    def __init__(self, batch_size: int | None = None, *, digits: Sequence[int] = range(10), **shared: Any) -> None:
        super().__init__(batch_size, **shared)
        self.classes = select_names("data.digits", digits, list("0123456789"), least=2)

    def read(self) -> dict[str, Examples]:
        """Return the images, uint8 `[N, 1, 8, 8]`, ink 255, and their labels."""
        with files(__package__).joinpath("digits.npy.xz").open("rb") as packed, lzma.open(packed) as stream:
            table = np.load(stream)
        pixels = np.rint(table[:64].T * (255 / 16)).astype(np.uint8)
        images = torch.from_numpy(pixels.reshape(-1, 1, 8, 8))
        label = torch.tensor([self.classes.index(name) if name in self.classes else -1 for name in "0123456789"])
        labels = label[torch.from_numpy(table[64].astype(np.int64))]
        return {"train": Examples(images[labels >= 0], labels[labels >= 0])}


class Penguins(Rows):
    """Measurements (millimetres and grams) of 342 penguins of three species.

    Args:
        species: at least two of the three, in the order of the labels.
        measurements: at least one of the four; those in `target` are not used as inputs.
        target: `species`, or one or several measurements.
        task: `classification` for the species, `regression` for measurements, or `auto`.
        target_transform: `log` to predict the logarithm of measurements, or `none`.
        shared: arguments of `Rows` and `DataModule`.
    """

    def __init__(
        self,
        species: Sequence[str] = SPECIES,
        measurements: Sequence[str] = MEASUREMENTS,
        target: str | Sequence[str] = "species",
        task: str = "auto",
        target_transform: str = "none",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.species = select_names("data.species", species, SPECIES, least=2)
        self.target_names = select_names("data.target", target, ("species", *MEASUREMENTS), least=1)
        used = select_names("data.measurements", measurements, MEASUREMENTS, least=1)
        self.columns = tuple(Column(name) for name in used if name not in self.target_names)
        kind = "classification" if self.target_names == ("species",) else "regression"
        if ("species" in self.target_names and kind == "regression") or task not in ("auto", kind):
            content = "the species are classes" if "species" in self.target_names else "measurements are numbers"
            problem = f"{content}, with task={task}"
            accepted = "species for task=classification, or measurements for task=regression"
            raise config_error("data.target", ",".join(self.target_names), problem, accepted)
        if not self.columns:
            accepted = "further measurements, or another data.target"
            raise config_error("data.measurements", list(used), "all are to be predicted, no input is left", accepted)
        self.target = (
            Classes(self.species)
            if kind == "classification"
            else Numbers(self.target_names, transform=target_transform)
        )

    def read(self) -> dict[str, Examples]:
        """Return the rows whose four measurements are complete, float32 `[N, measurements]`."""
        from palmerpenguins import load_penguins  # importing pandas takes half a second

        table = load_penguins().dropna(subset=list(MEASUREMENTS))
        table = table[table["species"].isin(self.species)]
        x = torch.tensor(table[[column.name for column in self.columns]].to_numpy(), dtype=torch.float32)
        if self.classes:
            y = torch.tensor([self.species.index(species) for species in table["species"]])
        else:
            y = torch.tensor(table[list(self.target_names)].to_numpy(), dtype=torch.float32)
        return {"train": Examples(x, y)}


class Shapes(DataModule):
    """Generated images 3 x size x size, each of one shape with a random colour, size, position and background.

    The classes are balanced.

    Args:
        count: number of images in all splits.
        image_size: height and width in pixels.
        shapes: the classes, in the order of the labels: names of `DISTANCES`.
        seed: of the images and of the split.
        shared: arguments of `DataModule`.
    """

    kind = "images"

    def __init__(
        self, count: int, image_size: int, shapes: Sequence[str] = DEFAULT_SHAPES, seed: int = 0, **shared: Any
    ) -> None:
        super().__init__(seed=seed, **shared)
        if not isinstance(image_size, int):
            raise config_error("data.image_size", image_size, "shapes are drawn in squares", "a whole number")
        self.classes = select_names("data.shapes", shapes, list(DISTANCES), least=2)
        self.seed = seed
        self.count = count
        self.image_size = image_size

    def read(self) -> dict[str, Examples]:
        """Draw the images, uint8 `[count, 3, image_size, image_size]`, and their labels."""
        labels = torch.arange(self.count) % len(self.classes)
        rng = derive_generator(self.seed)
        images = torch.cat([draw_shapes(part, self.classes, self.image_size, rng) for part in labels.split(CHUNK)])
        return {"train": Examples(images, labels)}


def draw_shapes(labels: Tensor, shapes: Sequence[str], size: int, rng: torch.Generator) -> Tensor:
    """Draw one shape per image: labels int64 `[N]`, positions in `shapes`, -> uint8 `[N, 3, size, size]`."""
    count = len(labels)
    uniform = torch.rand(count, 4, generator=rng)
    radius = size * (0.12 + 0.2 * uniform[:, 0])
    centre = radius[:, None] + (size - 2 * radius[:, None]) * uniform[:, 1:3]
    inside = coverage(labels, shapes, size, radius, centre, turn=2 * math.pi * uniform[:, 3])
    # The background changes from left to right, with noise.
    left, right = torch.rand(2, count, 3, 1, 1, generator=rng)
    ramp = left + 0.5 * (right - left) * torch.linspace(0, 1, size)
    background = torch.clamp(ramp + 0.05 * torch.randn(count, 3, size, size, generator=rng), 0, 1)
    # The colour differs by at least 0.3 from the background's mean in every channel.
    mean = background.mean(dim=(2, 3), keepdim=True)
    color = (mean + 0.3 + 0.4 * torch.rand(count, 3, 1, 1, generator=rng)) % 1
    image = torch.lerp(background, color.expand_as(background), inside[:, None])
    return (image * 255).round().to(torch.uint8)


def coverage(labels: Tensor, shapes: Sequence[str], size: int, radius: Tensor, centre: Tensor, turn: Tensor) -> Tensor:
    """Return the share of each pixel that its shape covers, float32 `[N, size, size]`."""
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    dx = x - centre[:, 0, None, None]
    dy = y - centre[:, 1, None, None]
    distance = torch.full_like(dx, math.inf)
    for label, name in enumerate(shapes):
        of_shape = DISTANCES[name](dx, dy, radius[:, None, None], turn)
        distance = torch.where((labels == label)[:, None, None], of_shape, distance)
    return torch.clamp(0.5 - distance, 0, 1)


def polygon_distance(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor, sides: int) -> Tensor:
    """Return the distance to a regular polygon with its corners on the circle: the largest to any of its sides."""
    angles = turn[:, None] + torch.arange(sides) * (2 * math.pi / sides)  # [N, sides]
    along = dx[:, None] * angles.cos()[..., None, None] + dy[:, None] * angles.sin()[..., None, None]
    return along.amax(dim=1) - radius * math.cos(math.pi / sides)


def cross_distance(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor) -> Tensor:
    """Return the distance to two crossed bars, a third as wide as long: the smaller of the two."""
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    along, across = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs()
    long, short = torch.maximum(along, across), torch.minimum(along, across)
    return torch.maximum(long - radius, short - radius / 3)


DISTANCES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "circle": lambda dx, dy, radius, turn: torch.hypot(dx, dy) - radius,
    "square": partial(polygon_distance, sides=4),
    "triangle": partial(polygon_distance, sides=3),
    "pentagon": partial(polygon_distance, sides=5),
    "ring": lambda dx, dy, radius, turn: (torch.hypot(dx, dy) - 0.75 * radius).abs() - 0.25 * radius,
    "cross": cross_distance,
}
"""The distance of each pixel `[N, size, size]` to the edge of a shape, negative inside, by the shape's name."""
