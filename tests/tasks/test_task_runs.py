"""Runs of models of numbers, labels and two classes, and what they record."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from tests.conftest import Compose
from tests.run.interrupted_runs import Stopped, checkpoint, run, tensors
from trainyard.config.composition import compose
from trainyard.io.errors import ConfigError
from trainyard.models.supervised import SupervisedModel
from trainyard.run.load_model import load_model
from trainyard.run.run_builder import build_data
from trainyard.run.training import train

ROWS = 401


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write tables of a number, of labels and of two classes, all functions of the inputs and noise."""
    folder = tmp_path_factory.mktemp("tables")
    draws = np.random.default_rng(0)
    x, noise = draws.normal(size=(ROWS, 3)), draws.normal(size=(ROWS, 3))
    inputs = pd.DataFrame(x, columns=["a", "b", "c"])
    price = np.exp(3 + x[:, 0] - 0.5 * x[:, 1] + 0.1 * noise[:, 0])
    tags = [";".join(np.array(["u", "v", "w"])[row]) or "[]" for row in x + 0.5 * noise > 0.4]
    answers = np.where(x[:, 0] + noise[:, 0] > 1, "yes", "no")
    inputs.assign(price=price).to_csv(folder / "price.csv", index=False)
    inputs.assign(tags=tags).to_csv(folder / "tags.csv", index=False)
    inputs.assign(answer=answers).to_csv(folder / "answer.csv", index=False)
    return folder


def source(tables: Path, target: str) -> list[str]:
    """Return overrides that select a table."""
    return ["data=table", f"data.path={tables / target}.csv", f"data.target={target}"]


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


QUICK = ("model.hidden_dims=[16]", "optimizer.lr=0.02", "trainer.max_epochs=8", "logger=csv", "callbacks=none")


def test_numbers_are_learned_without_being_told(compose_run: Compose, tables: Path) -> None:
    result = train(compose_run(*source(tables, "price"), "data.target_transform=log", *QUICK))
    stored = OmegaConf.load(result.folder / "config.yaml")
    assert stored.objective == "val/rmse"
    assert stored.objective_mode == "min"
    assert stored.task.kind == stored.run.choices.task == "regression"
    content = result_of(result.folder)
    assert content["objective"]["name"] == "val/rmse"
    assert content["objective"]["value"] == content["metrics"]["val/rmse"]
    for metric in ("rmse", "mae"):
        assert content["metrics"][f"test/{metric}"] < 0.5 * content["baseline"][f"test/{metric}"]
    assert content["metrics"]["test/r2"] > 0.75


def test_scores_are_those_of_the_predictions(compose_run: Compose, tables: Path) -> None:
    result = train(compose_run(*source(tables, "price"), "metrics=[mape,spearman]", *QUICK))
    model, data = stored_parts(result.folder)
    for split in ("val", "test"):
        part = data.splits[split]
        with torch.no_grad():
            predicted = model.predict_step(part.x, 0)[:, 0].double()
        errors = predicted - part.y[:, 0]
        expected = {"rmse": errors.square().mean().sqrt(), "mape": (errors / part.y[:, 0]).abs().mean()}
        for name, value in expected.items():
            assert result.metrics[f"{split}/{name}"] == pytest.approx(float(value), rel=1e-4)
        ranks = [pd.Series(values.numpy()).rank() for values in (predicted, part.y[:, 0])]
        assert result.metrics[f"{split}/spearman"] == pytest.approx(float(ranks[0].corr(ranks[1])), abs=1e-4)


def stored_parts(folder: Path) -> tuple[SupervisedModel, Any]:
    """Return the best model of a run, and its data."""
    model = load_model(folder / "checkpoints" / "best.ckpt")
    assert isinstance(model, SupervisedModel)
    return model, build_data(OmegaConf.load(folder / "config.yaml"))


@pytest.mark.parametrize("ema", [[], ["ema_decay=0.9"]])
def test_the_threshold_of_the_best_epoch_is_stored_and_used(compose_run: Compose, tables: Path, ema: list[str]) -> None:
    task = ["task=classification", "task.threshold=f1", "metrics=[f1]", "objective=val/f1"]
    result = train(compose_run(*source(tables, "answer"), *task, *ema, *QUICK))
    model, data = stored_parts(result.folder)
    [threshold] = model.task.thresholds
    assert threshold != 0.5
    scores = {}
    for split in ("val", "test"):
        with torch.no_grad():
            p = model.predict_step(data.splits[split].x, 0)[:, 1]
        y = data.splits[split].y
        for name, cut in (("used", threshold), ("half", 0.5)):
            predicted = p >= cut
            scores[split, name] = float(2 * (predicted & (y == 1)).sum() / (predicted.sum() + (y == 1).sum()))
        assert result.metrics[f"{split}/f1"] == pytest.approx(scores[split, "used"], abs=1e-6)
        assert result.metrics[f"{split}/acc"] == pytest.approx(float(((p >= threshold) == (y == 1)).float().mean()))
    assert scores["val", "used"] > scores["val", "half"]


def test_labels_have_thresholds(compose_run: Compose, tables: Path) -> None:
    result = train(compose_run(*source(tables, "tags"), *QUICK))
    assert result_of(result.folder)["objective"]["name"] == "val/f1"
    assert {"test/f1", "test/f1_macro", "test/average_precision", "test/acc", "test/loss"} <= {*result.metrics}
    model, data = stored_parts(result.folder)
    part = data.splits["test"]
    with torch.no_grad():
        predicted = model.task.decisions(model.predict_step(part.x, 0))
    hits = float((predicted & (part.y > 0)).sum())
    assert result.metrics["test/f1"] == pytest.approx(2 * hits / float(predicted.sum() + part.y.sum()), abs=1e-6)
    assert result.metrics["test/f1"] > result_of(result.folder)["baseline"]["test/f1"] + 0.2
    assert len({*model.task.thresholds}) == 3


@pytest.mark.parametrize("target", ["price", "tags", "answer"])
@pytest.mark.parametrize("stop", [("train", 1, 7), ("val", 2, 0)])
def test_a_resumed_run_equals_an_uninterrupted_one(
    compose_run: Compose, tables: Path, target: str, stop: Stopped, tmp_path: Path
) -> None:
    extra = {
        "price": ["loss=huber", "metrics=[mape]"],
        "tags": ["metrics=[auroc]"],
        "answer": ["task=classification", "task.threshold=mcc", "loss=focal", "metrics=[f1,ece]"],
    }[target]
    overrides = [*source(tables, target), *extra, "data.batch_size=16"]
    run(compose_run, *overrides, folder="whole")
    run(compose_run, *overrides, folder="stopped", stop=stop)
    run(compose_run, *overrides, folder="stopped")
    whole, stopped = (checkpoint(tmp_path / folder, "last.ckpt") for folder in ("whole", "stopped"))
    before, after = tensors(whole["state_dict"]), tensors(stopped["state_dict"])
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert whole["hyper_parameters"]["task"] == stopped["hyper_parameters"]["task"]
    tables = [(tmp_path / folder / "metrics.csv").read_text() for folder in ("whole", "stopped")]
    assert tables[0] == tables[1]
    assert result_of(tmp_path / "whole")["metrics"] == result_of(tmp_path / "stopped")["metrics"]
    texts = [(tmp_path / folder / "metrics.csv").read_text() for folder in ("whole", "stopped")]
    assert texts[0] == texts[1] or target == "price"  # whose training sums are rounded in another order


def test_the_same_command_resumes_a_run_whose_task_was_chosen(compose_run: Compose, tables: Path) -> None:
    cfg = compose_run(*source(tables, "price"), *QUICK)
    first = train(cfg)
    assert OmegaConf.load(first.folder / "config.yaml").objective == "val/rmse"
    again = train(compose_run(*source(tables, "price"), *QUICK))
    assert again.metrics == first.metrics


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=val/f1_macro"], r"objective=val/f1_macro: not logged in the validation.*\n  accepted: val/rmse,"),
        (["metrics=[auroc]"], r"metrics=auroc: no metric of a number"),
        (["loss=cross_entropy"], r"loss=cross_entropy: does not fit the task\n  accepted: mse, mae, huber, quantile"),
        (["task=classification"], r"data\.target=price"),
        (["model.label_smoothing=0.1"], r"model\.label_smoothing=0\.1: loss=mse has none"),
    ],
)
def test_what_does_not_fit_numbers_is_rejected(
    compose_run: Compose, tables: Path, overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(compose_run(*source(tables, "price"), *overrides))
    assert not (tmp_path / "run").exists()


def test_groups_of_the_task_are_null_for_a_module_that_has_none(tmp_path: Path) -> None:
    overrides = ["model._target_=lightning.pytorch.demos.boring_classes.BoringModel", "loss=focal"]
    cfg = compose([f"hydra.run.dir={tmp_path / 'run'}", "~model.hidden_dims", "~model.activation", *overrides])
    with pytest.raises(ConfigError, match=r"loss=focal: .* has no parameter task"):
        train(cfg)
