"""Runs of at most a second, one of each model, and their results."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from trainyard.config.composition import compose
from trainyard.run.training import train

QUICK = (
    "trainer.max_epochs=2",
    "trainer.deterministic=true",
    "callbacks=none",
    "logger=csv",
    "data.train_fraction=0.2",
)
PICTURES = ("data=shapes", "data.count=90", "data.image_size=32", "data.batch_size=16", "data.train_fraction=1.0")
RUNS = {
    "mlp": ("model=mlp", "model.hidden_dims=[8]", "model.dropout=0.2"),
    "tabular": (
        *("model=tabular", "model.hidden_dims=[8]", "model.members=3", "model.dropout=0.1"),
        *("data=penguins", "data.train_fraction=1.0"),
    ),
    "cnn": ("model=cnn", "model.channels=[4]", "model.hidden_dims=[8]", "augment=standard"),
    "resnet": ("model=resnet", "model.channels=[4,8]", "model.dropout=0.2", *PICTURES),
    "whitened_cnn": ("model=whitened_cnn", "model.channels=[4,8]", "model.evaluation_views=2", *PICTURES),
    "transfer": (
        "model=transfer",
        "model.backbone=test_resnet",
        "model.weights=none",
        "model.image_size=32",
        *PICTURES,
    ),
}
"""Overrides of a tiny run of each model; a new model needs a row, see `test_reference_runs.py`."""


@dataclass(frozen=True)
class RunOutput:
    """The content of `result.json` without seconds, the rows of `metrics.csv`, and the weights of the last epoch."""

    result: dict
    curves: list[dict[str, str]]
    weights: dict[str, Tensor]

    def equals(self, other: "RunOutput") -> bool:
        """Whether both are bitwise equal."""
        same = self.weights.keys() == other.weights.keys()
        tensors = same and all(torch.equal(self.weights[name], other.weights[name]) for name in self.weights)
        return tensors and (self.result, self.curves) == (other.result, other.curves)


def config(folder: Path, *overrides: str) -> DictConfig:
    return compose([f"hydra.run.dir={folder}", *QUICK, *overrides])


def read_output(folder: Path) -> RunOutput:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del result["seconds"]
    table = folder / "metrics.csv"
    with table.open(newline="", encoding="utf-8") as file:
        curves = list(csv.DictReader(file))
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return RunOutput(result, curves, weights)


def run(folder: Path, *overrides: str) -> RunOutput:
    train(config(folder, *overrides))
    return read_output(folder)
