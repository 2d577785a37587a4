"""Checkpoints of small untrained models."""

from pathlib import Path
from typing import Any

import torch

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.models.mlp import MLP
from trainyard.models.supervised import SupervisedModel

CLASSES = ("cat", "dog", "cow")
COLUMNS = (
    Column("length", median=2.0, may_miss=True),
    Column("town", ("Bern", "Rome", "7"), may_miss=True),
    Column("mass", median=50.0),
)
ROWS = DataSpec((3,), Classes(CLASSES), COLUMNS, (2.0, 0.0, 50.0), (1.0, 1.0, 20.0))
IMAGES = DataSpec((3, 6, 8), Classes(CLASSES), (), (0.5,) * 3, (0.25,) * 3)
TABLE = "length,town,mass\n1.5,Rome,40\n2.5,Bern,60\n,Oslo,70\n"


def model_of(spec: DataSpec) -> MLP:
    torch.manual_seed(0)
    return MLP(spec, hidden_dims=[8]).eval()


def save(model: SupervisedModel, path: Path, **changes: Any) -> Path:
    """Write what a run would have written, as far as predictions need it."""
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    stored = {"model_class": kind, "hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}
    torch.save({**stored, **changes}, path)
    return path
