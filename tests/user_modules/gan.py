"""A GAN on points of a circle: manual optimization with two optimizers."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class GAN(L.LightningModule):
    def __init__(self, noise: int = 4, lr: float = 0.002) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(noise, 16), nn.ReLU(), nn.Linear(16, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(16, 1))

    def judge(self, points: Tensor, real: bool) -> Tensor:
        target = torch.full((len(points), 1), float(real), device=self.device)
        return F.binary_cross_entropy_with_logits(self.discriminator(points), target)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        (real,) = batch
        first, second = self.optimizers()
        fake = self.generator(torch.randn(len(real), self.hparams.noise, device=self.device))
        generator_loss = self.judge(fake, True)
        first.zero_grad()
        self.manual_backward(generator_loss)
        first.step()
        discriminator_loss = self.judge(real, True) + self.judge(fake.detach(), False)
        second.zero_grad()
        self.manual_backward(discriminator_loss)
        second.step()
        self.log_dict({"g_loss": generator_loss, "d_loss": discriminator_loss}, prog_bar=True)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        fixed = torch.Generator(self.device).manual_seed(batch_idx)
        noise = torch.randn(len(batch[0]), self.hparams.noise, device=self.device, generator=fixed)
        self.log("val/radius_error", (self.generator(noise).norm(dim=1) - 1).abs().mean())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        parts = (self.generator, self.discriminator)
        return [torch.optim.Adam(part.parameters(), self.hparams.lr, betas=(0.5, 0.999)) for part in parts]


class Circle(L.LightningDataModule):
    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        angle = 6.2832 * torch.rand(384, generator=torch.Generator().manual_seed(0))
        points = torch.stack([angle.cos(), angle.sin()], 1)
        self.train, self.val = TensorDataset(points[:320]), TensorDataset(points[320:])

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.batch_size)
