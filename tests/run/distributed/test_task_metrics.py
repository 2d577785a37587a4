"""Metrics by name and thresholds of two processes are those of one process, with each example counted once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trainyard.config.composition import compose
from trainyard.run.training import train

ROWS, BATCH = 431, 32  # the last batches of the processes differ in size
PLAN = (
    "data=table",
    "model=mlp",
    "model.hidden_dims=[16]",
    "optimizer=sgd",
    "optimizer.lr=0.1",
    "trainer.max_epochs=2",
)
TARGETS = {
    "answer": ["task=classification", "task.threshold=f1", "metrics=[f1,auroc,ece,mcc]", "objective=val/f1"],
    "price": ["metrics=[mape,spearman]", "loss=huber"],
    "tags": ["metrics=[auroc]"],
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Return rows with a target of each kind."""
    draws = np.random.default_rng(0)
    x = draws.normal(size=(ROWS, 3))
    noisy = x + 0.5 * draws.normal(size=(ROWS, 3))
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        answer=np.where(noisy[:, 0] > 0.8, "yes", "no"),
        price=np.exp(noisy[:, 1] / 2 + 3),
        tags=[";".join(np.array(["u", "v"])[row]) or "[]" for row in noisy[:, :2] > 0.3],
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_two_processes_have_the_metrics_of_one(target: str, rows: pd.DataFrame, tmp_path: Path) -> None:
    rows[["a", "b", "c", target]].to_csv(tmp_path / "rows.csv", index=False)
    results: list[dict[str, Any]] = []
    for accelerator, processes in (("cpu", 1), ("ddp_cpu", 2)):
        folder = tmp_path / accelerator
        common = [*PLAN, *TARGETS[target], f"data.target={target}", f"data.path={tmp_path / 'rows.csv'}"]
        own = [f"accelerator={accelerator}", f"data.batch_size={BATCH // processes}", "callbacks=none", "logger=csv"]
        train(compose([f"hydra.run.dir={folder}", *common, *own]))
        results.append(json.loads((folder / "result.json").read_text()))
    one, two = results
    assert one["metrics"].keys() == two["metrics"].keys()
    assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-3, abs=1e-4)
    assert one["objective"]["epoch"] == two["objective"]["epoch"]
