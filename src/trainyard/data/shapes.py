"""Generated pictures of circles, squares and triangles: a real image problem without a download."""

import math
from typing import Any

import torch
from torch import Tensor

from trainyard.data.draws import generator
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples

CHUNK = 256  # images drawn at a time; bounds the memory of the drawing


class Shapes(DataModule):
    """Images 3 x size x size of one filled shape each, 3 classes, drawn from `seed`.

    Colour, size, position, turn and background vary from image to image; the classes are balanced.

    Args:
        count: number of images, of all splits together.
        image_size: height and width in pixels.
        seed: of the images and of the split.
        shared: as in `DataModule`.
    """

    kind = "images"
    classes = ("circle", "square", "triangle")

    def __init__(self, count: int, image_size: int, seed: int = 0, **shared: Any) -> None:
        super().__init__(seed=seed, **shared)
        self.seed = seed
        self.count = count
        self.image_size = image_size

    def read(self) -> dict[str, Examples]:
        """Draw the images, uint8 `[count, 3, image_size, image_size]`, and their labels."""
        labels = torch.arange(self.count) % len(self.classes)
        draws = generator(self.seed)
        images = torch.cat([draw(part, self.image_size, draws) for part in labels.split(CHUNK)])
        return {"train": Examples(images, labels)}


def draw(labels: Tensor, size: int, draws: torch.Generator) -> Tensor:
    """Draw one shape an image: labels int64 `[N]` (0 circle, 1 square, 2 triangle) -> uint8 `[N, 3, size, size]`."""
    count = len(labels)
    uniform = torch.rand(count, 4, generator=draws)
    radius = size * (0.12 + 0.2 * uniform[:, 0])
    centre = radius[:, None] + (size - 2 * radius[:, None]) * uniform[:, 1:3]
    inside = coverage(labels, size, radius, centre, turn=2 * math.pi * uniform[:, 3])
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


def coverage(labels: Tensor, size: int, radius: Tensor, centre: Tensor, turn: Tensor) -> Tensor:
    """Return how far each pixel lies inside its shape, float32 `[N, size, size]` in 0..1, with smooth edges.

    The distance to a shape's edge is the largest distance to any of its sides; a circle has only its radius.
    """
    axis = torch.arange(size) + 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    dx = x - centre[:, 0, None, None]
    dy = y - centre[:, 1, None, None]
    distance = torch.hypot(dx, dy) - radius[:, None, None]
    for label, sides in ((1, 4), (2, 3)):
        angles = turn[:, None] + torch.arange(sides) * (2 * math.pi / sides)  # [N, sides]
        along = dx[:, None] * angles.cos()[..., None, None] + dy[:, None] * angles.sin()[..., None, None]
        polygon = along.amax(dim=1) - radius[:, None, None] * math.cos(math.pi / sides)
        distance = torch.where((labels == label)[:, None, None], polygon, distance)
    return torch.clamp(0.5 - distance, 0, 1)
