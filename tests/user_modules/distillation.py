"""Distillation: a small network learns from the soft targets of a model that Trainyard has trained."""

from pathlib import Path

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainyard.run.load_model import load_model


class Student(L.LightningModule):
    """Distillation (Hinton et al. 2015, arXiv:1503.02531).

    Args:
        teacher: a checkpoint of a model that accepts the inputs, such as `outputs/latest/checkpoints/best.ckpt`.
    """

    def __init__(self, teacher: str, temperature: float = 2.0, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.teacher = load_model(Path(teacher)).requires_grad_(False)
        example = self.teacher.example_input_array
        size, classes = example[0].numel(), self.teacher(example).shape[1]
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, classes))

    def train(self, mode: bool = True) -> "Student":
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def soft_loss(self, x: Tensor) -> Tensor:
        """Return the divergence of the student's classes from the teacher's, both softened by the temperature."""
        temperature = self.hparams.temperature
        with torch.no_grad():
            target = F.log_softmax(self.teacher(x) / temperature, 1)
        found = F.log_softmax(self(x) / temperature, 1)
        return temperature**2 * F.kl_div(found, target, reduction="batchmean", log_target=True)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.soft_loss(batch[0])
        self.log("train/divergence", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val/divergence", self.soft_loss(batch[0]))

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        agree = self(batch[0]).argmax(1) == self.teacher(batch[0]).argmax(1)
        self.log("test/agreement", agree.float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), self.hparams.lr)


class Unlabelled(L.LightningDataModule):
    """Rows of numbers to imitate the teacher on; it needs no labels."""

    def __init__(self, size: int = 4, batch_size: int = 32) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        rows = torch.randn(448, self.hparams.size, generator=torch.Generator().manual_seed(0))
        self.splits = [TensorDataset(part) for part in rows.split([320, 64, 64])]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.splits[0], self.hparams.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.splits[1], self.hparams.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.splits[2], self.hparams.batch_size)
