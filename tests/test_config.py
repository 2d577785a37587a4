"""Every option of every config group composes, and what is composed is complete and plain."""

from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tests.conftest import Compose
from trainyard.config import CONF_DIR, compose, group_options, instantiate, objective_mode
from trainyard.errors import ConfigError

GROUPS = sorted(folder.name for folder in CONF_DIR.iterdir() if folder.is_dir() and folder.name != "hydra")
OPTIONS = [f"{group}={option}" for group in GROUPS for option in group_options(group)]

MUST_BE_GIVEN = {
    "data=image_folder": {"data.root"},
    "data=table": {"data.path", "data.target"},
    "experiment=photos_resnet": {"data.root"},
}
PROMISED = {
    "data": "digits penguins shapes image_folder table mnist fashion_mnist kmnist emnist cifar10 cifar100 svhn stl10",
    "model": "mlp cnn resnet transfer",
    "optimizer": "sgd adam adamw adagrad rmsprop adadelta nadam muon lion timm",
    "scheduler": "constant cosine cosine_warmup step exponential linear polynomial one_cycle plateau",
    "finetune": "head full gradual fine_tune",
    "accelerator": "auto cpu gpu mps tpu ddp ddp_cpu fsdp",
    "trainer": "default quick",
    "augment": "none flip standard strong",
    "callbacks": "default early_stopping none",
    "logger": "tensorboard csv both wandb mlflow",
    "debug": "fast overfit profile detect_nan",
    "experiment": "penguins digits_cnn shapes_cnn shapes_transfer",
}


@pytest.mark.parametrize("override", OPTIONS)
def test_every_option_composes(override: str) -> None:
    group, _, option = override.partition("=")
    cfg = compose([override])
    assert cfg.run.choices[group] == option
    assert cfg.run.overrides == [override]
    assert OmegaConf.missing_keys(cfg) == MUST_BE_GIVEN.get(override, set())
    assert "hydra" not in cfg


@pytest.mark.parametrize("group", PROMISED)
def test_the_promised_options_are_there(group: str) -> None:
    assert set(PROMISED[group].split()) <= set(group_options(group))


@pytest.mark.parametrize("file", sorted(CONF_DIR.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF_DIR)))
def test_every_config_says_what_it_is(file: Path) -> None:
    first = next(line for line in file.read_text().splitlines() if not line.startswith("# @"))
    assert first.startswith("# ")


def test_a_run_is_named_by_time_model_data_and_chance() -> None:
    first, second = (Path(compose(["model=cnn"]).run.dir) for _ in range(2))
    assert first != second
    assert first.parent == Path("outputs/runs").absolute()
    date, time, *names, chance = first.name.split("-")
    assert (len(date), len(time), names, len(chance)) == (8, 6, ["cnn", "digits"], 4)


def test_composing_leaves_no_hydra_behind() -> None:
    before = HydraConfig.instance().cfg
    compose([])
    assert HydraConfig.instance().cfg is before


@pytest.mark.parametrize(("metric", "mode"), [("val/acc", "max"), ("val/loss", "min")])
def test_a_loss_is_made_small(metric: str, mode: str) -> None:
    assert objective_mode(metric) == mode


def test_instantiate_gives_plain_lists_and_passes_our_errors_on(compose_run: Compose) -> None:
    assert instantiate(OmegaConf.create({"_target_": "builtins.dict", "betas": [0.9]})) == {"betas": [0.9]}
    node = compose_run("data.fold=7").data
    assert isinstance(node, DictConfig)
    with pytest.raises(ConfigError, match=r"data\.fold=7: with data\.folds=5"):
        instantiate(node)
