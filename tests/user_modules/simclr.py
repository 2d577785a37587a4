"""Contrastive learning without labels: a batch is a plain tensor, augmented in the step."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader


class SimCLR(L.LightningModule):
    """SimCLR (Chen et al. 2020, arXiv:2002.05709), on rows, with noise as augmentation."""

    def __init__(self, temperature: float = 0.5, lr: float = 0.003) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

    def contrastive_loss(self, rows: Tensor) -> Tensor:
        views = torch.cat([rows + 0.1 * torch.randn_like(rows) for _ in range(2)])
        embedded = F.normalize(self.encoder(views), dim=1)
        similarity = embedded @ embedded.T / self.hparams.temperature
        similarity.fill_diagonal_(-torch.inf)
        return F.cross_entropy(similarity, torch.arange(len(views), device=self.device).roll(len(rows)))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss = self.contrastive_loss(batch)
        self.log("train/nt_xent", loss)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/nt_xent", self.contrastive_loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.hparams.lr, momentum=0.9)


class Rows(L.LightningDataModule):
    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        self.rows = torch.randn(320, 16, generator=torch.Generator().manual_seed(0))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.rows[:256], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.rows[256:], self.batch_size)
