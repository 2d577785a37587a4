"""The exponential moving average of the weights is correct, and is validated, tested and saved."""

import csv
import json
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.callbacks.weight_average import WeightAverage, average_floats
from trainyard.config.composition import compose
from trainyard.data.sources.builtin import Digits
from trainyard.models.cnn import CNN
from trainyard.run.load_model import load_model
from trainyard.run.training import train

DECAY = 0.9
HEAD = "head.1.weight"
State = dict[str, torch.Tensor]


def average(states: list[State]) -> State:
    """Return the average of these states, computed directly; counters are not averaged."""
    mean = {name: tensor for name, tensor in states[0].items() if tensor.is_floating_point()}
    for state in states[1:]:
        mean = {name: DECAY * mean[name] + (1 - DECAY) * state[name] for name in mean}
    return mean


def assert_equal(one: State, other: State) -> None:
    assert set(one) <= set(other)
    assert all(torch.allclose(one[name], other[name].to(one[name]), atol=1e-5) for name in one)


def checkpoint(folder: Path, name: str) -> dict:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[State]]:
    """A completed run, and its weights after each step."""
    folder = tmp_path_factory.mktemp("averaged") / "run"
    options = ["model=cnn", f"ema_decay={DECAY}", "optimizer=sgd", "optimizer.lr=0.3", "trainer.max_epochs=3"]
    cfg = compose([*options, "accelerator=cpu", "logger=csv", "data.batch_size=128", f"hydra.run.dir={folder}"])
    states: list[State] = []

    def noted(self: CNN, *_: object) -> None:
        states.append({name: tensor.clone() for name, tensor in self.state_dict().items()})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CNN, "on_train_batch_end", noted)
        train(cfg)
    return folder, states


def test_checkpoints_contain_the_average_and_the_current_weights(finished: tuple[Path, list[State]]) -> None:
    folder, states = finished
    steps = len(states) // 3
    assert steps == 10
    for name in ("best.ckpt", "last.ckpt"):
        stored = checkpoint(folder, name)
        done = states[: (stored["epoch"] + 1) * steps]
        assert_equal(average(done), stored["state_dict"])
        assert_equal(done[-1], stored["current_model_state"])
        assert not torch.allclose(stored["state_dict"][HEAD], stored["current_model_state"][HEAD], atol=1e-3)


def scores(model: torch.nn.Module, split: str) -> dict[str, float]:
    part = Digits(128).splits[split]
    with torch.inference_mode():
        logits = model.eval()(part.x)
    accuracy = float((logits.argmax(1) == part.y).float().mean())
    return {f"{split}/loss": float(F.cross_entropy(logits, part.y)), f"{split}/acc": accuracy}


def test_the_average_is_validated_and_tested(finished: tuple[Path, list[State]]) -> None:
    folder, states = finished
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    model = load_model(folder / "checkpoints" / "best.ckpt")
    assert {**scores(model, "val"), **scores(model, "test")} == pytest.approx(metrics, abs=1e-5)
    with (folder / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    for epoch, loss in enumerate(losses, start=1):
        model.load_state_dict(average(states[: epoch * 10]), strict=False)
        assert scores(model, "val")["val/loss"] == pytest.approx(loss, abs=1e-5)
        model.load_state_dict(states[epoch * 10 - 1])
        assert abs(scores(model, "val")["val/loss"] - loss) > 1e-3


def fit(epochs: int, folder: Path, resume: Path | None = None) -> dict:
    """Return the checkpoint after a number of epochs."""
    L.seed_everything(0, verbose=False)
    data = Digits(128, train_fraction=0.4)
    model = CNN(data.spec, [8, 8], optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9))
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[WeightAverage(decay=DECAY), LastCheckpoint(folder)],
        logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data, ckpt_path=resume, weights_only=True)
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_fit_restores_the_average_and_the_weights(tmp_path: Path) -> None:
    whole = fit(3, tmp_path / "whole")
    fit(1, tmp_path / "parts")
    resumed = fit(3, tmp_path / "parts", tmp_path / "parts" / "last.ckpt")
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert set(resumed[part]) == set(whole[part]) != set()
        assert_equal(resumed[part], whole[part])


@pytest.mark.parametrize("values", [torch.arange(1000), torch.rand(1000)], ids=["positions", "statistics"])
def test_constants_do_not_change(values: torch.Tensor) -> None:
    model = torch.nn.Linear(1, 1)
    model.values = torch.nn.Buffer(values)
    averaged = AveragedModel(model, avg_fn=average_floats(0.9), use_buffers=True)
    for _ in range(3):
        averaged.update_parameters(model)
    assert averaged.module.values.equal(values)
