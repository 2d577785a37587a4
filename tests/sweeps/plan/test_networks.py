"""Networks are looked at without memory, and are the real ones."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from trainyard.config import compose, instantiate
from trainyard.models.classifier import Classifier
from trainyard.sweeps.plan.networks import look

MODELS = [
    ("digits", ["model=mlp"]),
    ("penguins", ["model=mlp"]),
    ("digits", ["model=cnn"]),
    ("shapes", ["model=resnet", "data.count=200", "data.image_size=32"]),
    ("shapes", ["model=transfer", "model.backbone=test_resnet", "data.count=200", "model.image_size=32"]),
    ("shapes", ["model=transfer", "model.backbone=test_vit", "data.count=200", "model.drop_path=0.1"]),
]


@pytest.mark.parametrize(("data", "words"), MODELS)
def test_it_has_the_parameters_and_the_classes_of_the_real_one(data: str, words: list[str]) -> None:
    cfg = compose([f"data={data}", *words])
    network = look(OmegaConf.to_yaml(cfg.data), OmegaConf.to_yaml(cfg.model))  # pretrained ones without a download
    spec = instantiate(cfg.data, order_seed=0).spec
    if "weights" in cfg.model:
        cfg.model.weights = "none"
    real = instantiate(cfg.model, spec=spec)
    assert network.parameters == sum(parameter.numel() for parameter in real.parameters())
    assert network.inputs == spec.input_shape
    assert network.outputs == (len(spec.classes),)
    assert not network.real


class Asking(Classifier):
    """A network that asks a tensor for a number while it is built."""

    inputs = ("images",)

    def __init__(self, spec: Any, **training: Any) -> None:
        super().__init__(spec, **training)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, int(torch.tensor(10).item())))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.normalize(x))  # type: ignore[no-any-return]


def test_one_that_needs_memory_is_built_with_it() -> None:
    data = OmegaConf.to_yaml(compose(["data=digits"]).data)
    network = look(data, f"_target_: {__name__}.Asking\n")
    assert network.real
    assert (network.parameters, network.outputs) == (650, (10,))
