"""Layers thaw at their optimizer step: when batches are accumulated, and when a run goes on from a checkpoint."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from tests.conftest import Compose
from tests.models.watch import SHORT, Watch, watched
from trainyard.config.composition import compose, instantiate
from trainyard.inspect.schedule import simulate_rates


def test_accumulated_batches_are_one_step(tmp_path: Path) -> None:
    plan = ("finetune=gradual", "finetune.thaw=[2]", "trainer.accumulate_grad_batches=3")
    steps = watched(tmp_path / "run", *plan)["steps"]
    shown = simulate_rates(compose([f"hydra.run.dir={tmp_path}", *SHORT, *plan]))
    assert (len(steps), shown.epoch_steps) == (8, 2), "of three batches, and of one"
    assert [len(step["learns"]) for step in steps.values()] == [0] * 4 + [45] * 4
    assert {name: [step["rates"][name] for step in steps.values()] for name in shown.groups} == shown.groups


def fit(cfg: Any, folder: Path, checkpoint: Path | None = None) -> Watch:
    torch.manual_seed(0)
    data = instantiate(cfg.data, order_seed=0)
    parts = {group: instantiate(cfg[group]) for group in ("optimizer", "scheduler", "finetune")}
    model, watch = instantiate(cfg.model, spec=data.spec, **parts), Watch()
    kept = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=4, limit_val_batches=1, callbacks=[watch, kept], default_root_dir=folder, **quiet
    )
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return watch


@pytest.mark.filterwarnings("ignore:Found .* module.s. in eval mode")  # as they should be
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
def test_a_run_that_goes_on_has_thawed_what_had_thawed(compose_run: Compose, tmp_path: Path) -> None:
    cfg = compose_run(*SHORT, "finetune=gradual", "finetune.thaw=[1,0.6,3]")
    whole = fit(cfg, tmp_path)
    rest = fit(cfg, tmp_path, tmp_path / "epoch=1.ckpt")
    assert list(rest.steps) == list(range(8, 16))
    assert {len(step["learns"]) for step in rest.steps.values()} == {21, 36, 45}
    for number, step in rest.steps.items():
        then = whole.steps[number]
        assert all(step[what] == then[what] for what in ("rates", "learns", "has a gradient", "trains", "loss"))
        assert all(torch.equal(tensor, then["after"][name]) for name, tensor in step["after"].items())
