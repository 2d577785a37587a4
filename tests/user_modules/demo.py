"""Lightning's own demo classes; `DemoModel` has no validation, which a subclass adds."""

from typing import Any

import torch
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel, DemoModel, RandomDataset
from torch import Tensor
from torch.utils.data import DataLoader


class ValidatedDemo(DemoModel):
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/output", self(batch).mean())


class LoggingBoring(BoringModel):
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("x", self.step(batch))

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("y", self.step(batch))


class SeededBoring(BoringDataModule):
    """The demo's data, which is otherwise drawn from the seed of the run, with shuffled batches of 8 tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.random_full = RandomDataset(32, 64 * 4)
        self.random_full.data = torch.randn(64 * 4, 32, generator=torch.Generator().manual_seed(0))

    def train_dataloader(self) -> Any:
        return DataLoader(self.random_train, batch_size=8, shuffle=True)
