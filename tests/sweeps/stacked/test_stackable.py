"""Which jobs can train together, and the reason of each that cannot."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from trainyard.config.composition import CONF_DIR
from trainyard.sweeps.stacked.stackable import ALONE, divided, stackable, told

HEAD = ("model=transfer", "model.weights=backbone.pt")


def configs(folder: Path, jobs: Sequence[Sequence[str]]) -> dict[int, DictConfig]:
    """Compose the jobs of a sweep in a directory."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", overrides=[], run_mode=RunMode.MULTIRUN)
        words = [[*job, f"hydra.sweep.dir={folder}", f"hydra.sweep.subdir={n}"] for n, job in enumerate(jobs)]
        return {n: loader.load_sweep_config(sweep, overrides) for n, overrides in enumerate(words)}


# What both of two jobs have, and the reason why they do not train together.
REASONS = [
    (["model=cnn"], "model=cnn is not an mlp, nor a head on features that are kept"),
    (["model.dropout=0.1"], "model.dropout=0.1 draws otherwise in a stack"),
    ([*HEAD, "finetune=full"], "finetune.thaw lets the backbone learn"),
    ([*HEAD, "callbacks=none"], "callbacks.feature_cache is not there to keep what the backbone makes"),
    (["augment.flip=0.5"], "augment.flip changes the examples at random"),
    (["augment.mixup=0.2"], "augment.mixup changes the examples at random"),
    (["data.resident=false"], "data.resident=false reads each batch"),
    (["scheduler=plateau"], "its schedule waits for a plateau"),
    (["optimizer._target_=torch.optim.LBFGS"], "its optimizer evaluates the loss itself"),
    (["compile=true"], "compile=True"),
    (["ema_decay=0.9"], "ema_decay=0.9"),
    (["trainer.accumulate_grad_batches=2"], "trainer.accumulate_grad_batches=2"),
    (["trainer.gradient_clip_val=1.0"], "trainer.gradient_clip_val=1.0"),
    (["trainer.deterministic=true"], "trainer.deterministic=True"),
    (["trainer.num_sanity_val_steps=1"], "trainer.num_sanity_val_steps=1"),
    (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed"),
    (["accelerator=ddp_cpu"], "trainer.devices=2"),
    (["+trainer.max_steps=5"], "trainer.max_steps=5"),
    (["trainer.max_epochs=-1"], "trainer.max_epochs=-1"),
    (["debug=fast"], "trainer.limit_train_batches=2"),
    (["debug=overfit"], "trainer.overfit_batches=1"),
    (["debug=detect_nan"], "trainer.detect_anomaly=True"),
    (["callbacks=early_stopping"], "callbacks.early_stopping may ask for what a stack has not"),
    (["callbacks.learning_rate.logging_interval=epoch"], "callbacks.learning_rate.logging_interval=epoch"),
    (["logger=wandb"], "logger.wandb may ask for what a stack has not"),
    (["sweep.pruner=median"], "sweep.pruner=median may end it before the others"),
]


@pytest.mark.parametrize(("words", "reason"), REASONS, ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_each_obstacle_has_its_reason(tmp_path: Path, words: list[str], reason: str) -> None:
    groups, reasons = stackable(configs(tmp_path, [[*words, "seed=0"], [*words, "seed=1"]]))
    assert groups == []
    assert reasons == {0: reason, 1: reason}


DIFFERENT = ["model.hidden_dims=[3]", "data.fold=1", "data.batch_size=32", "trainer.max_epochs=9", "objective=val/loss"]


@pytest.mark.parametrize("other", DIFFERENT)
def test_jobs_of_another_network_data_or_length_stack_among_themselves(tmp_path: Path, other: str) -> None:
    groups, reasons = stackable(configs(tmp_path, [["seed=0"], [other], ["seed=1"], [other, "seed=1"], ["model=cnn"]]))
    assert groups == [[0, 2], [1, 3]]
    assert list(reasons) == [4]


def test_what_may_differ_within_a_stack(tmp_path: Path) -> None:
    jobs = [
        ["seed=3"],
        ["optimizer=sgd"],
        ["scheduler=constant", "seed=3"],
        ["optimizer.betas=[0.5,0.6]"],
        ["logger=csv"],
    ]
    assert stackable(configs(tmp_path, jobs)) == ([[1, 3, 4, 0, 2]], {}), "those of a seed side by side"


def test_a_random_backbone_is_that_of_its_seed(tmp_path: Path) -> None:
    grid = [[f"seed={seed}", f"optimizer.lr={lr}"] for seed in (0, 1) for lr in (0.1, 0.2)]
    random = [["model=transfer", "model.weights=none", *job] for job in grid]
    assert stackable(configs(tmp_path, random)) == ([[0, 1], [2, 3]], {})
    assert stackable(configs(tmp_path, [[*HEAD, *job] for job in grid])) == ([[0, 1, 2, 3]], {})


def test_a_job_goes_on_by_itself(tmp_path: Path) -> None:
    (tmp_path / "1" / "checkpoints").mkdir(parents=True)
    (tmp_path / "1" / "checkpoints" / "last.ckpt").touch()
    groups, reasons = stackable(configs(tmp_path, [["seed=0"], ["seed=1"], ["seed=2"]]))
    assert groups == [[0, 2]]
    assert reasons == {1: "it goes on from its last checkpoint"}


def test_one_line_tells_who_runs_alone(tmp_path: Path) -> None:
    _, reasons = stackable(configs(tmp_path, [["model=cnn"], ["seed=1"], ["model=cnn", "seed=1"]]))
    line = told(reasons, {0: "4", 1: "5", 2: "6"})
    cause = "model=cnn is not an mlp, nor a head on features that are kept"
    assert line == f"by itself  #4, #6: {cause}; #5: {ALONE}"


@pytest.mark.parametrize(("size", "parts", "sizes"), [(5, 1, [5]), (5, 2, [2, 3]), (3, 2, [3]), (8, 3, [2, 3, 3])])
def test_a_group_is_divided_among_the_slots(size: int, parts: int, sizes: list[int]) -> None:
    found = divided(range(size), parts)
    assert [len(part) for part in found] == sizes
    assert [number for part in found for number in part] == list(range(size))
