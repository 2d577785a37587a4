"""Which jobs can be stacked, and the reasons why others cannot."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from trainyard.config.composition import CONF_DIR, instantiate, load_option
from trainyard.sweeps.stacked.stackable import MODIFIERS, NO_PARTNER, format_reasons, group_stackable, split_group

HEAD = ("model=transfer", "model.weights=backbone.pt")


def configs(folder: Path, jobs: Sequence[Sequence[str]]) -> dict[int, DictConfig]:
    """Compose the jobs of a sweep in a directory."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", overrides=[], run_mode=RunMode.MULTIRUN)
        words = [[*job, f"hydra.sweep.dir={folder}", f"hydra.sweep.subdir={n}"] for n, job in enumerate(jobs)]
        return {n: loader.load_sweep_config(sweep, overrides) for n, overrides in enumerate(words)}


# Overrides of two jobs, and the reason why they cannot be stacked.
REASONS = [
    (["model=cnn"], "model=cnn is neither an mlp nor a head on cached features"),
    (["loss._target_=torch.nn.MultiMarginLoss"], "its loss is torch.nn.MultiMarginLoss"),
    ([*HEAD, "finetune=full"], "finetune.unfreeze trains the backbone"),
    ([*HEAD, "callbacks=none"], "callbacks.feature_cache is missing"),
    ([*HEAD, "augment.flip=0.5"], "augment changes the images, so their features are not cached"),
    (["data.resident=false"], "data.resident=false loads each batch separately"),
    (["scheduler=plateau"], "its schedule is not a function of the step (torch.optim.lr_scheduler.ReduceLROnPlateau)"),
    (["optimizer=muon"], "its optimizer may combine tensors of several networks (timm.optim.Muon)"),
    (["on_nan=skip_batch"], "on_nan=skip_batch"),
    (["callbacks=pictures"], "callbacks.budget=null draws all figures"),
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
    (["callbacks=early_stopping"], "callbacks.early_stopping is not supported in a stack"),
    (["callbacks.learning_rate.logging_interval=epoch"], "callbacks.learning_rate.logging_interval=epoch"),
    (["logger=wandb"], "logger.wandb is not supported in a stack"),
    (["sweep.pruner=median"], "sweep.pruner=median may stop it before the others"),
]


@pytest.mark.parametrize(("words", "reason"), REASONS, ids=lambda value: value[-1] if isinstance(value, list) else "")
def test_obstacles(tmp_path: Path, words: list[str], reason: str) -> None:
    groups, reasons = group_stackable(configs(tmp_path, [[*words, "seed=0"], [*words, "seed=1"]]))
    assert groups == []
    assert reasons == {0: reason, 1: reason}


DIFFERENT = ["model.hidden_dims=[3]", "data.fold=1", "data.batch_size=32", "trainer.max_epochs=9", "objective=val/loss"]
DIFFERENT += ["optimizer=sgd", "loss=focal", "metrics=[f1_macro]"]


@pytest.mark.parametrize("other", DIFFERENT)
def test_jobs_with_the_same_network_data_and_length_are_grouped(tmp_path: Path, other: str) -> None:
    groups, reasons = group_stackable(
        configs(tmp_path, [["seed=0"], [other], ["seed=1"], [other, "seed=1"], ["model=cnn"]])
    )
    assert groups == [[0, 2], [1, 3]]
    assert list(reasons) == [4]


def test_optimizer_schedule_seed_and_logger_may_differ(tmp_path: Path) -> None:
    jobs = [
        ["seed=3"],
        ["optimizer.lr=0.1"],
        ["scheduler=constant", "seed=3"],
        ["optimizer.betas=[0.5,0.6]"],
        ["logger=csv"],
    ]
    assert group_stackable(configs(tmp_path, jobs)) == ([[1, 3, 4, 0, 2]], {}), "jobs with the same seed are adjacent"


def test_modifiers_of_augmentations_change_nothing_alone() -> None:
    option = load_option("augment", "none")
    for key in option.keys() - {"_target_"}:
        value = {"border": "reflect", "alternate_flips": True}.get(str(key), 1)
        assert bool(instantiate(OmegaConf.merge(option, {key: value}))) == (key not in MODIFIERS)  # type: ignore[arg-type]


def test_random_backbones_are_stacked_only_with_the_same_seed(tmp_path: Path) -> None:
    grid = [[f"seed={seed}", f"optimizer.lr={lr}"] for seed in (0, 1) for lr in (0.1, 0.2)]
    random = [["model=transfer", "model.weights=none", *job] for job in grid]
    assert group_stackable(configs(tmp_path, random)) == ([[0, 1], [2, 3]], {})
    assert group_stackable(configs(tmp_path, [[*HEAD, *job] for job in grid])) == ([[0, 1, 2, 3]], {})


def test_a_resumed_job_is_not_stacked(tmp_path: Path) -> None:
    (tmp_path / "1" / "checkpoints").mkdir(parents=True)
    (tmp_path / "1" / "checkpoints" / "last.ckpt").touch()
    groups, reasons = group_stackable(configs(tmp_path, [["seed=0"], ["seed=1"], ["seed=2"]]))
    assert groups == [[0, 2]]
    assert reasons == {1: "it resumes from its last checkpoint"}


def test_one_line_names_the_jobs_that_are_not_stacked(tmp_path: Path) -> None:
    _, reasons = group_stackable(configs(tmp_path, [["model=cnn"], ["seed=1"], ["model=cnn", "seed=1"]]))
    line = format_reasons(reasons)
    cause = "model=cnn is neither an mlp nor a head on cached features"
    assert line == f"not stacked  #0, #2: {cause}; #1: {NO_PARTNER}"


@pytest.mark.parametrize(("size", "parts", "sizes"), [(5, 1, [5]), (5, 2, [2, 3]), (3, 2, [3]), (8, 3, [2, 3, 3])])
def test_a_group_is_split_among_the_slots(size: int, parts: int, sizes: list[int]) -> None:
    found = split_group(range(size), parts)
    assert [len(part) for part in found] == sizes
    assert [number for part in found for number in part] == list(range(size))
