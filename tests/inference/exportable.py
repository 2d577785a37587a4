"""Small untrained models of each kind that can be exported."""

from dataclasses import replace

import torch

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.models.cnn import CNN
from trainyard.models.mlp import MLP
from trainyard.models.resnet import ResNet
from trainyard.models.supervised import SupervisedModel
from trainyard.models.tabular import Tabular
from trainyard.models.transfer import TransferModel
from trainyard.models.whitened_cnn import WhitenedCNN

GREY = DataSpec((1, 8, 8), Classes(("a", "b", "c")), (), (0.4,), (0.3,))
COLOUR = DataSpec((3, 12, 12), Classes(("a", "b", "c")), (), (0.4, 0.5, 0.6), (0.3, 0.2, 0.3))
MANY = tuple(f"level {number}" for number in range(30))
MIXED = (
    Column("width", median=3.0, may_miss=True, quantiles=(0.0, 2.0, 5.0)),
    Column("colour", levels=("blue", "red"), may_miss=True),
    Column("city", levels=MANY, embedded=True),
    Column("height", median=-1.0),
)
ROWS = DataSpec((4,), Classes(("low", "high")), MIXED, (3.0, 0.0, 0.0, -1.0), (2.0, 1.0, 1.0, 0.5))
NUMBERS = DataSpec((2,), Classes(("low", "high")), (Column("x"), Column("y")), (0.0, 5.0), (1.0, 2.0))
PRICES = ("price", "weight")
TARGETS = {
    "regression": Numbers(PRICES, (3.0, -2.0), (1.0, 20.0)),
    "regression_log": Numbers(PRICES, (7.0, -3.0), (0.5, 2.0), "log"),
    "multilabel": Labels(("a", "b", "c")),
    "binary": Classes(("low", "high")),
}
TASKS = {"multilabel": {"thresholds": [0.5, 0.25, 0.75]}, "binary": {"threshold": "f1", "thresholds": [0.375]}}
LEVELS = DataSpec((1,), Classes(("low", "high")), (MIXED[1],), (0.0,), (1.0,))


def build(name: str) -> SupervisedModel:
    """Return a model by the name of its kind."""
    torch.manual_seed(0)
    kinds = {
        "images": lambda: MLP(GREY, [5]),
        "cnn": lambda: CNN(GREY, [4, 8], hidden_dims=[8]),
        "resnet": lambda: ResNet(COLOUR, [4, 8]),
        "whitened_cnn": lambda: WhitenedCNN(COLOUR, [4, 8], evaluation_views=6),
        "rows": lambda: MLP(ROWS, [5]),
        "tabular": lambda: Tabular(ROWS, [5], members=2),
        "numbers": lambda: MLP(NUMBERS, [5]),
        "levels": lambda: MLP(LEVELS, [5]),
        "transfer": lambda: TransferModel(GREY, "test_resnet", image_size=32),
        "transformer": lambda: TransferModel(COLOUR, "test_vit", image_size=32),
        "convnext": lambda: TransferModel(COLOUR, "test_convnext", image_size=32),
    }
    if name not in TARGETS:
        return kinds[name]().eval()
    return MLP(replace(ROWS, target=TARGETS[name]), [5], task=TASKS.get(name)).eval()


KINDS = (
    *(
        "images",
        "cnn",
        "resnet",
        "whitened_cnn",
        "rows",
        "tabular",
        "numbers",
        "levels",
        "transfer",
        "transformer",
        "convnext",
    ),
    *("regression", "regression_log", "multilabel", "binary"),
)
