"""Generated pictures of simple shapes: a real image problem without a download."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainyard.data.chosen import chosen
from trainyard.data.draws import generator
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.errors import reject

CHUNK = 256  # images drawn at a time; bounds the memory of the drawing
FIRST = ("circle", "square", "triangle")


class Shapes(DataModule):
    """Images 3 x size x size of one shape each, drawn from `seed`.

    Colour, size, position, turn and background vary from image to image; the classes are balanced.

    Args:
        count: number of images, of all splits together.
        image_size: height and width in pixels.
        shapes: the classes, in the order of the labels: names of `DISTANCES`.
        seed: of the images and of the split.
        shared: as in `DataModule`.

    Raises:
        ConfigError: an unknown shape, one twice, a single one, or an image size that is not one number.
    """

    kind = "images"

    def __init__(
        self, count: int, image_size: int, shapes: Sequence[str] = FIRST, seed: int = 0, **shared: Any
    ) -> None:
        super().__init__(seed=seed, **shared)
        if not isinstance(image_size, int):
            raise reject("data.image_size", image_size, "shapes are drawn in squares", "a whole number")
        self.classes = chosen("data.shapes", shapes, list(DISTANCES), least=2)
        self.seed = seed
        self.count = count
        self.image_size = image_size

    def read(self) -> dict[str, Examples]:
        """Draw the images, uint8 `[count, 3, image_size, image_size]`, and their labels."""
        labels = torch.arange(self.count) % len(self.classes)
        draws = generator(self.seed)
        images = torch.cat([draw(part, self.classes, self.image_size, draws) for part in labels.split(CHUNK)])
        return {"train": Examples(images, labels)}


def draw(labels: Tensor, shapes: Sequence[str], size: int, draws: torch.Generator) -> Tensor:
    """Draw one shape an image: labels int64 `[N]`, places in `shapes`, -> uint8 `[N, 3, size, size]`."""
    count = len(labels)
    uniform = torch.rand(count, 4, generator=draws)
    radius = size * (0.12 + 0.2 * uniform[:, 0])
    centre = radius[:, None] + (size - 2 * radius[:, None]) * uniform[:, 1:3]
    inside = coverage(labels, shapes, size, radius, centre, turn=2 * math.pi * uniform[:, 3])
    background = backgrounds(count, size, draws)
    # At least 0.3 away from the background's mean in every channel, so that no shape is invisible.
    mean = background.mean(dim=(2, 3), keepdim=True)
    colour = (mean + 0.3 + 0.4 * torch.rand(count, 3, 1, 1, generator=draws)) % 1
    picture = torch.lerp(background, colour.expand_as(background), inside[:, None])
    return (picture * 255).round().to(torch.uint8)


def backgrounds(count: int, size: int, draws: torch.Generator) -> Tensor:
    """Return colours that change from left to right with some noise, float32 `[count, 3, size, size]` in 0..1."""
    left, right = torch.rand(2, count, 3, 1, 1, generator=draws)
    ramp = left + 0.5 * (right - left) * torch.linspace(0, 1, size)
    noise = 0.05 * torch.randn(count, 3, size, size, generator=draws)
    return torch.clamp(ramp + noise, 0, 1)


def coverage(labels: Tensor, shapes: Sequence[str], size: int, radius: Tensor, centre: Tensor, turn: Tensor) -> Tensor:
    """Return how far each pixel lies inside its shape, float32 `[N, size, size]` in 0..1, with smooth edges."""
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    dx = x - centre[:, 0, None, None]
    dy = y - centre[:, 1, None, None]
    distance = torch.full_like(dx, math.inf)
    for label, name in enumerate(shapes):
        found = DISTANCES[name](dx, dy, radius[:, None, None], turn)
        distance = torch.where((labels == label)[:, None, None], found, distance)
    return torch.clamp(0.5 - distance, 0, 1)


def to_circle(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor) -> Tensor:
    """Return the distance of each pixel to the edge of a circle, negative inside."""
    return torch.hypot(dx, dy) - radius


def to_ring(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor) -> Tensor:
    """Return the distance to a ring whose hole has half its radius."""
    return (torch.hypot(dx, dy) - 0.75 * radius).abs() - 0.25 * radius


def to_polygon(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor, sides: int) -> Tensor:
    """Return the distance to a regular polygon with its corners on the circle: the largest to any of its sides."""
    angles = turn[:, None] + torch.arange(sides) * (2 * math.pi / sides)  # [N, sides]
    along = dx[:, None] * angles.cos()[..., None, None] + dy[:, None] * angles.sin()[..., None, None]
    return along.amax(dim=1) - radius * math.cos(math.pi / sides)


def to_cross(dx: Tensor, dy: Tensor, radius: Tensor, turn: Tensor) -> Tensor:
    """Return the distance to two crossed bars, a third as wide as long: the smaller of the two."""
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    along, across = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs()
    long, short = torch.maximum(along, across), torch.minimum(along, across)
    return torch.maximum(long - radius, short - radius / 3)


DISTANCES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "circle": to_circle,
    "square": partial(to_polygon, sides=4),
    "triangle": partial(to_polygon, sides=3),
    "pentagon": partial(to_polygon, sides=5),
    "ring": to_ring,
    "cross": to_cross,
}
"""The distance of each pixel `[N, size, size]` to the edge of a shape, negative inside, by the shape's name."""
