"""Erased rectangles."""

import torch

from trainyard.data.draws import generator
from trainyard.data.erase import RandomErase


def test_erase_blackens_one_rectangle_in_some_images() -> None:
    x = torch.full((400, 3, 16, 16), 200, dtype=torch.uint8)
    y = RandomErase(probability=0.5, largest=0.5)(x, generator(0))
    gone = (y == 0).all(dim=1)
    hit = gone.any(dim=2).any(dim=1)
    assert 140 < int(hit.sum()) < 240
    area = gone.sum(dim=(1, 2))
    assert int(area.max()) <= 64
    box = gone.any(dim=1).sum(1) * gone.any(dim=2).sum(1)
    assert torch.equal(area, box), "what is gone is a rectangle"
