"""Tuple batches of any length: noise is removed from sequences that a collate function pads.

Metrics have an underscore in the place of a slash, and are logged per step and per epoch.
"""

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

Batch = tuple[Tensor, Tensor, list[int]]


class Denoiser(L.LightningModule):
    def __init__(self, hidden: int = 12, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.recurrent, self.head = nn.GRU(1, hidden, batch_first=True), nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, noisy: Tensor) -> Tensor:
        return self.head(self.dropout(self.recurrent(noisy)[0]))

    def error(self, batch: Batch) -> Tensor:
        noisy, clean, lengths = batch
        known = torch.arange(noisy.shape[1], device=self.device) < torch.tensor(lengths, device=self.device)[:, None]
        return ((self(noisy) - clean).squeeze(-1)[known] ** 2).mean()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.error(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=len(batch[2]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.error(batch)
        self.log("val_loss", loss, on_step=True, on_epoch=True, batch_size=len(batch[2]))
        return loss

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.NAdam(self.parameters(), self.hparams.lr)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"}}


def pad(pairs: list[tuple[Tensor, Tensor]]) -> Batch:
    noisy, clean = (pad_sequence(side, batch_first=True).unsqueeze(-1) for side in zip(*pairs, strict=True))
    return noisy, clean, [len(row) for row, _ in pairs]


class Sequences(L.LightningDataModule):
    def __init__(self, batch_size: int = 16) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pairs = []
        for length in torch.randint(6, 16, (192,), generator=generator).tolist():
            clean = (6.28 * torch.rand(1, generator=generator) + 0.5 * torch.arange(length)).sin()
            self.pairs.append((clean + 0.3 * torch.randn(length, generator=generator), clean))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.pairs[:160], self.batch_size, shuffle=True, collate_fn=pad)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.pairs[160:], self.batch_size, collate_fn=pad)
