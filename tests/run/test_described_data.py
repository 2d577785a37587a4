"""A LightningDataModule that describes its examples, without deriving from the project's own."""

import json
from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import open_dict
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import Compose
from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.run.training import train


class Circles(L.LightningDataModule):
    """Points in a square, labelled by whether they are inside a circle; its loaders are plain ones."""

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size
        points = torch.rand(600, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
        inside = (points.square().sum(dim=1) < 0.6).long()
        self.parts = [
            TensorDataset(points[start : start + 200], inside[start : start + 200]) for start in (0, 200, 400)
        ]

    @property
    def spec(self) -> DataSpec:
        columns = (Column("x"), Column("y"))
        return DataSpec((2,), Classes(("outside", "inside")), columns, mean=(0.0, 0.0), std=(0.6, 0.6))

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[0], self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[1], 200)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.parts[2], 200)


def test_a_built_in_model_learns_described_data(compose_run: Compose, tmp_path: Path) -> None:
    cfg = compose_run("trainer.max_epochs=30", "optimizer.lr=0.02", "logger=csv", "accelerator=cpu")
    with open_dict(cfg):
        cfg.data = {"_target_": f"{__name__}.Circles"}
    result = train(cfg)
    assert result.metrics["test/acc"] > 0.93
    stored = json.loads((result.folder / "result.json").read_text())
    assert stored["data"] == stored["baseline"] == {}


class KnowsItsData(L.LightningModule):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.network = torch.nn.Linear(spec.input_shape[0], len(spec.classes))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_module_of_the_user_receives_the_description(compose_run: Compose) -> None:
    cfg = compose_run("data=penguins", "objective=val/loss", "logger=csv", "accelerator=cpu")
    with open_dict(cfg):
        cfg.model = {"_target_": f"{__name__}.KnowsItsData"}
    assert train(cfg).metrics["val/loss"] > 0


def test_a_built_in_model_needs_described_data(compose_run: Compose) -> None:
    cfg = compose_run()
    with open_dict(cfg):
        cfg.data = {"_target_": "lightning.LightningDataModule"}
    with pytest.raises(ValueError, match="mlp is built from a description of the data, and lightning") as raised:
        train(cfg)
    assert "a model whose constructor has no parameter spec" in str(raised.value)
    assert not Path(cfg.run.dir).exists()
