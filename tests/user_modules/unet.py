"""Segmentation: a small U-Net that finds the rectangle in a noisy image."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU(), nn.Dropout2d(0.1)
    )


class UNet(L.LightningModule):
    def __init__(self, channels: int = 8, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.down, self.bottom = block(1, channels), block(channels, 2 * channels)
        self.up, self.head = block(3 * channels, channels), nn.Conv2d(channels, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        skip = self.down(image)
        deep = F.interpolate(self.bottom(F.max_pool2d(skip, 2)), scale_factor=2)
        return self.head(self.up(torch.cat([skip, deep], 1)))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        image, mask = batch
        loss = F.binary_cross_entropy_with_logits(self(image), mask)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def evaluate(self, batch: list[Tensor], stage: str) -> None:
        image, mask = batch
        found = self(image) > 0
        intersection, union = (found * mask).sum(), (found + mask > 0).sum()
        self.log(f"{stage}/iou", intersection / union, prog_bar=True)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.evaluate(batch, "val")

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.evaluate(batch, "test")

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.AdamW(self.parameters(), self.hparams.lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.hparams.lr, total_steps=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Rectangles(L.LightningDataModule):
    def __init__(self, batch_size: int = 16, size: int = 16) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        size, count = self.hparams.size, 128
        corner = torch.randint(0, size // 2, (count, 2, 1, 1), generator=generator)
        rows, columns = torch.arange(size).view(1, -1, 1), torch.arange(size).view(1, 1, -1)
        inside = [
            (axis >= start) & (axis < start + size // 2)
            for axis, start in zip((rows, columns), corner.unbind(1), strict=True)
        ]
        masks = (inside[0] & inside[1]).float().unsqueeze(1)
        images = masks + 0.5 * torch.randn(masks.shape, generator=generator)
        self.parts = [TensorDataset(images[part], masks[part]) for part in (slice(96), slice(96, 112), slice(112, 128))]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[0], self.hparams.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[1], self.hparams.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[2], self.hparams.batch_size)
