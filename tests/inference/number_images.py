"""Images of noise whose target is a number, their mean brightness."""

from typing import Any

import torch

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.target import Numbers


class Brightness(DataModule):
    """Images 1x8x8; the target is the mean of the values, from 0 to 100."""

    kind = "images"

    def __init__(self, count: int = 200, **shared: Any) -> None:
        super().__init__(**shared)
        self.count = count
        self.target = Numbers(("brightness",), (0.0,), (1.0,))

    def read(self) -> dict[str, Examples]:
        draws = torch.Generator().manual_seed(self.count)
        noise = torch.rand(self.count, 1, 8, 8, generator=draws) * torch.rand(self.count, 1, 1, 1, generator=draws)
        images = (noise * 255).byte()
        return {"train": Examples(images, images.float().mean(dim=(1, 2, 3))[:, None] / 2.55)}
