"""A character transformer; batches are dicts, and the learning rate is scheduled per step."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

TEXT = "the quick brown fox jumps over the lazy dog while five boxing wizards jump quickly. " * 12
ALPHABET = sorted(set(TEXT))


class CharTransformer(L.LightningModule):
    def __init__(self, width: int = 16, context: int = 16, dropout: float = 0.1, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.embed, self.position = nn.Embedding(len(ALPHABET), width), nn.Parameter(torch.zeros(context, width))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 1), nn.Linear(width, len(ALPHABET))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(tokens) + self.position, self.mask))

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(self(batch["tokens"]).flatten(0, 1), batch["next"].flatten())

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        loss = self.loss(batch)
        self.log("train/loss", loss)
        return {"loss": loss}

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/perplexity", self.loss(batch).exp())

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("test/perplexity", self.loss(batch).exp())

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self(batch["tokens"]).argmax(-1)

    def configure_optimizers(self) -> tuple[list, list]:
        optimizer = torch.optim.Adam(self.parameters(), self.hparams.lr)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
        return [optimizer], [{"scheduler": warmup, "interval": "step"}]


class Windows(Dataset):
    def __init__(self, context: int, part: range) -> None:
        self.tokens, self.context, self.part = [ALPHABET.index(letter) for letter in TEXT], context, part

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        start = self.part[index]
        window = torch.tensor(self.tokens[start : start + self.context + 1])
        return {"tokens": window[:-1], "next": window[1:]}


class Characters(L.LightningDataModule):
    def __init__(self, context: int = 16, batch_size: int = 32, num_workers: int = 0) -> None:
        super().__init__()
        self.save_hyperparameters()

    def loader(self, part: range, shuffle: bool = False) -> DataLoader:
        keys = self.hparams
        return DataLoader(Windows(keys.context, part), keys.batch_size, shuffle, num_workers=keys.num_workers)

    def train_dataloader(self) -> DataLoader:
        return self.loader(range(0, 320), shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(range(400, 480))

    def test_dataloader(self) -> DataLoader:
        return self.loader(range(500, 580))
