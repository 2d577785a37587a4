"""Checkpoints open with `weights_only=True`, whatever a module, its callbacks and its optimizer contain."""

import logging
from collections import namedtuple
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.utils.data import DataLoader

from tests.run.plain_runs import Regressor, Rows, differences, train_plain
from trainyard.callbacks.plain_values import is_plain, remove_unreadable, to_plain
from trainyard.callbacks.portable_checkpoint import PortableCheckpoint

pytestmark = pytest.mark.filterwarnings(
    "ignore:Checkpoint directory", "ignore:.*does not have many workers", "ignore:Attribute 'net' is an instance"
)
Point = namedtuple("Point", "x y")


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


PLAIN = [1, 2.5, "a", None, True, [1, (2, {"b": {3, 4}})], torch.zeros(2), torch.float16, {"nested": [None, 1e300]}]
CONVERTED = [
    (np.float64(0.1), 0.1),
    (np.int32(7), 7),
    (np.bool_(True), True),
    (Path("a/b"), str(Path("a/b"))),
    (OmegaConf.create({"a": [1, {"b": "${a.0}"}]}), {"a": [1, {"b": 1}]}),
    ([np.float32(0.5), {"c": Path("d")}], [0.5, {"c": "d"}]),
]
OBJECTS = [
    nn.Linear(1, 1),
    partial(int),
    int,
    Color.RED,
    Level.LOW,
    Point(1, 2),
    np.zeros(2),
    lambda: 1,
    frozenset([1]),
]


@pytest.mark.parametrize("value", PLAIN)
def test_plain_values_stay(value: Any) -> None:
    assert is_plain(value)
    assert repr(to_plain(value)) == repr(value)


@pytest.mark.parametrize(("value", "expected"), CONVERTED)
def test_numbers_paths_and_configs_are_converted(value: Any, expected: Any) -> None:
    converted = to_plain(value)
    assert converted == expected
    assert type(converted) is type(expected)
    assert is_plain(converted)


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"a": [value]}])
def test_objects_are_rejected(value: Any, wrap: Any) -> None:
    assert not is_plain(wrap(value))
    with pytest.raises(TypeError, match="not a plain value"):
        to_plain(wrap(value))


def test_unresolvable_config_is_rejected() -> None:
    with pytest.raises(TypeError):
        to_plain(OmegaConf.create({"a": "${missing}"}))


def test_unreadable_entries_are_removed() -> None:
    checkpoint = {
        "epoch": np.int64(3),
        "extra": [Color.RED],
        "state_dict": {},
        "callbacks": {"Good": {"best": np.float64(1.5)}, "Bad{'monitor': 'a'}": {"figure": nn.ReLU()}},
    }
    assert remove_unreadable(checkpoint) == ["extra", "the state of the callback Bad"]
    assert checkpoint == {"epoch": 3, "state_dict": {}, "callbacks": {"Good": {"best": 1.5}}}
    assert type(checkpoint["epoch"]) is int


class Configured(Regressor):
    """Saves hyperparameters of all kinds, and needs one of them itself."""

    def __init__(self, net: nn.Module, optimizer: Any, width: Any, folder: Path, more: Any) -> None:
        super().__init__()
        self.save_hyperparameters()

    def configure_optimizers(self) -> Any:
        return self.hparams["optimizer"](self.parameters())


def configured(**changed: Any) -> Configured:
    values: dict[str, Any] = {
        "net": nn.Linear(2, 2),
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "width": np.int64(4),
        "folder": Path("data"),
        "more": OmegaConf.create({"depth": [1, 2]}),
    }
    return Configured(**{**values, **changed})


def load(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


def test_hyperparameters_of_a_module(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="trainyard")
    trainer = train_plain(tmp_path, configured, callbacks=(PortableCheckpoint(),), max_epochs=2)
    stored = load(tmp_path)
    assert stored["hyper_parameters"] == {"width": 4, "folder": "data", "more": {"depth": [1, 2]}}
    assert stored["model_class"] == f"{__name__}.Configured"
    assert isinstance(trainer.lightning_module.hparams["net"], nn.Linear), "the module's own are unchanged"
    messages = [record.getMessage() for record in caplog.records]
    text = "checkpoints do not contain the hyperparameters net, optimizer of Configured, which are not plain values"
    assert messages == [f"{text}; config.yaml does"]


def test_hyperparameters_that_are_a_config(tmp_path: Path) -> None:
    class FromConfig(Regressor):
        def __init__(self, cfg: DictConfig) -> None:
            super().__init__()
            self.save_hyperparameters(cfg)

    cfg = OmegaConf.create({"lr": 0.1, "sizes": [1, 2]})
    train_plain(tmp_path, lambda: FromConfig(cfg), callbacks=(PortableCheckpoint(),), max_epochs=1)
    stored = load(tmp_path)
    assert stored["hyper_parameters"] == {"lr": 0.1, "sizes": [1, 2]}
    assert "hparams_type" not in stored


class Historian(L.Callback):
    """Has a state that cannot be stored."""

    def state_dict(self) -> dict[str, Any]:
        return {"figures": [Color.RED]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        raise AssertionError("the state was not stored")


class ObjectSaver(Regressor):
    """Adds an object to its checkpoints."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["vocabulary"] = Point(1, 2)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=np.float64(0.01))  # type: ignore[arg-type]


def test_unreadable_states_are_reported_at_the_first_save(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="trainyard")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole, ObjectSaver, callbacks=(Historian(),), max_epochs=2)
    messages = [record.getMessage() for record in caplog.records]
    names = ("the state of the callback Historian", "vocabulary")
    assert sorted(messages) == [
        f"checkpoints do not contain {name}, which is not made of plain values: a resumed run starts without it"
        for name in names
    ]
    for stop in (("train", 1, 2), None):
        train_plain(parts, ObjectSaver, callbacks=(Historian(),), max_epochs=2, stop=stop)
    assert differences(whole, parts) == []


class Stateful(torch.optim.SGD):
    """An optimizer with an object in its state."""

    def state_dict(self) -> Any:
        return {**super().state_dict(), "schedule": Color.RED}


def test_optimizer_state_that_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Lost(Regressor):
        def configure_optimizers(self) -> Any:
            return Stateful(self.parameters(), 0.1)

    train_plain(tmp_path, Lost, max_epochs=1, train=lambda: DataLoader(Rows(), 4))
    assert "optimizer_states, which is not made of plain values: the run cannot be resumed" in caplog.text
    assert "optimizer_states" not in load(tmp_path)
