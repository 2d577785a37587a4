"""Every option of every config group composes, and what is composed is complete and plain."""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tests.conftest import Compose
from trainyard.config.arguments import check_arguments, check_ranges, convert_text
from trainyard.config.composition import CONF_DIR, compose, instantiate, load_options, parse_override, parse_value
from trainyard.config.constraints import Number
from trainyard.io.errors import ConfigError
from trainyard.run.training import train
from trainyard.sweeps.execution.checks import check_options

GROUPS = sorted(folder.name for folder in CONF_DIR.iterdir() if folder.is_dir() and folder.name != "hydra")
OPTIONS = [f"{group}={option}" for group in GROUPS for option in load_options(group)]

MUST_BE_GIVEN = {
    "data=image_folder": {"data.root"},
    "data=image_table": {"data.path", "data.image", "data.target"},
    "data=table": {"data.path", "data.target"},
    "experiment=cifar10": {"data.root"},
}
PROMISED = {
    "data": "digits penguins shapes image_folder table mnist fashion_mnist kmnist emnist cifar10 cifar100 svhn stl10",
    "model": "mlp tabular cnn resnet whitened_cnn transfer",
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
def test_documented_options_exist(group: str) -> None:
    assert set(PROMISED[group].split()) <= set(load_options(group))


@pytest.mark.parametrize("file", sorted(CONF_DIR.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF_DIR)))
def test_every_config_file_starts_with_a_comment(file: Path) -> None:
    first = next(line for line in file.read_text().splitlines() if not line.startswith("# @"))
    assert first.startswith("# ")


def test_run_directory_is_named_by_time_model_data_and_random_digits() -> None:
    first, second = (Path(compose(["model=cnn"]).run.dir) for _ in range(2))
    assert first != second
    assert first.parent == Path("outputs/runs").absolute()
    date, time, *names, chance = first.name.split("-")
    assert (len(date), len(time), names, len(chance)) == (8, 6, ["cnn", "digits"], 4)


def test_compose_restores_the_hydra_config() -> None:
    before = HydraConfig.instance().cfg
    compose([])
    assert HydraConfig.instance().cfg is before


def test_instantiate_passes_plain_lists_and_raises_config_errors(compose_run: Compose) -> None:
    assert instantiate(OmegaConf.create({"_target_": "builtins.dict", "betas": [0.9]})) == {"betas": [0.9]}
    node = compose_run("data.fold=7").data
    assert isinstance(node, DictConfig)
    with pytest.raises(ConfigError, match=r"data\.fold=7: with data\.folds=5"):
        instantiate(node)


class Own(L.Callback):
    """Takes arguments that no rule of the project knows."""

    def __init__(self, size: int, name: str, sizes: Sequence[int] = (), rate=1, flag: bool | None = None) -> None: ...


TARGETS = {"trainer": "lightning.Trainer", "data": "trainyard.data.sources.builtin.Digits"}


def values_with(key: str, value: object) -> tuple[dict, dict, str]:
    """Return a config that has a value at a dotted path, the node that holds it, and its name there."""
    own = {"_target_": f"{__name__}.Own", "size": 1, "name": "x"}
    values = {group: {"_target_": name} for group, name in TARGETS.items()} | {"callbacks": {"own": own}}
    *parents, name = key.split(".")
    node = functools.reduce(lambda node, parent: node.setdefault(parent, {}), parents, values)
    node[name] = value
    return values, node, name


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("optimizer.lr", "0.01", 0.01),
        ("optimizer.lr", "1e-3", 0.001),
        ("trainer.max_epochs", "3", 3),
        ("seed", " 7 ", 7),
        ("ema_decay", "null", None),
        ("ema_decay", "0.9", 0.9),
        ("compile", "true", True),
        ("trainer.deterministic", "False", False),
        ("trainer.deterministic", "warn", "warn"),
        ("model.hidden_dims", "[64,32]", [64, 32]),
        ("data.class_weights", "balanced", "balanced"),
        ("data.digits", "[3,8]", [3, 8]),
        ("data.batch_size", "null", None),
        ("trainer.devices", "2", 2),
        ("trainer.devices", "auto", "auto"),
        ("trainer.val_check_interval", "0.5", 0.5),
        ("trainer.val_check_interval", "00:10:00", "00:10:00"),
        ("trainer.num_nodes", "2", 2),
        ("sweep.name", "12", "12"),
        ("optimizer.lr", "abc", "abc"),
        ("optimizer.lr", "0,01", "0,01"),
        ("optimizer.lr", "", ""),
        ("callbacks.own.size", "3", 3),
        ("callbacks.own.size", "0.5", "0.5"),
        ("callbacks.own.name", "007", "007"),
        ("callbacks.own.name", "7", "7"),
        ("callbacks.own.sizes", "[1,2]", [1, 2]),
        ("callbacks.own.rate", "0.5", 0.5),
        ("callbacks.own.flag", "true", True),
        ("callbacks.own.flag", "null", None),
    ],
)
def test_text_is_converted_if_the_key_takes_numbers(key: str, text: str, value: object) -> None:
    values, node, name = values_with(key, text)
    convert_text(values)
    assert (node[name], type(node[name])) == (value, type(value))


def test_list_items_and_interpolations_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALUE", "0.25")
    betas = "optimizer.betas=[${oc.env:VALUE},0.999]"
    cfg = compose([betas, "optimizer.lr=${oc.env:VALUE}", "optimizer.weight_decay=${optimizer.lr}"])
    assert (cfg.optimizer.betas, cfg.optimizer.lr, cfg.optimizer.weight_decay) == ([0.25, 0.999], 0.25, 0.25)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("optimizer.lr", "optimizer.lr=abc: must be a number above 0"),
        ("trainer.max_epochs", "trainer.max_epochs=abc: must be a whole number from 1"),
        ("compile", "compile=abc: must be one of true, false"),
        ("model.hidden_dims", "model.hidden_dims=abc: must be a list like [64,32], each item a whole number from 1"),
        ("callbacks.own.size", "callbacks.own.size=abc: must be a whole number"),
        ("callbacks.own.flag", "callbacks.own.flag=abc: must be one of true, false, or null"),
    ],
)
def test_invalid_text_is_rejected(key: str, problem: str) -> None:
    values, _, _ = values_with(key, "abc")
    convert_text(values)
    cfg = OmegaConf.create(values)
    with pytest.raises(ConfigError, match=f"^{re.escape(problem)}"):  # noqa: PT012
        check_ranges(cfg)
        check_arguments(cfg)


def test_stored_values_are_numbers(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPOCHS", "1")
    cfg = compose_run("trainer.max_epochs=${oc.env:EPOCHS,2}", "optimizer.lr=${oc.env:LR,0.005}", "callbacks=none")
    assert train(cfg).objective > 0.5
    stored = OmegaConf.load(Path(cfg.run.dir) / "config.yaml")
    assert (stored.trainer.max_epochs, stored.optimizer.lr) == (1, 0.005)


def test_sweep_options_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALUE", "4")
    options = compose(["sweep=random", "sweep.trials=4"]).sweep
    typed = {"trials": "${oc.env:VALUE}", "retries": "${seed}", "params": {"seed": "4"}}
    config = OmegaConf.create(
        {"seed": "4", "sweep": {**options, **typed}, "hydra": {"launcher": {"slots": "${oc.env:VALUE}"}}}
    )
    own = config.sweep
    check_options(config)
    assert own is config.sweep, "whoever holds it sees the change"
    assert (config.sweep.trials, config.sweep.retries, config.hydra.launcher.slots) == (4, 4, 4)
    assert config.sweep.params == {"seed": "4"}, "the values of a search space are overrides, which are text"


WORDS = ("a", "_x", "trainyard.models.mlp.MLP", "a/b_1.c", "true", "TRUE", "False", "null", "Null", "nan", "NaN", "inf")
OTHERS = ("None", "yes", "no", "1", "1e5", "e5", "a.1", "a:b", "a b", "[a]", "a,b", "", "-inf", "a..b", "infinite", "é")


@pytest.mark.parametrize("text", [*WORDS, *OTHERS])
def test_a_value_is_parsed_as_in_an_override(text: str) -> None:
    override = parse_override(f"key={text}")
    expected = override.value() if override and not override.is_sweep_override() else text
    assert repr(parse_value(text)) == repr(expected)


def test_names_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.config.composition.parse_override", lambda word: pytest.fail(word))
    assert [parse_value(word) for word in WORDS[:4]] == [*WORDS[:4]]


def test_integers_of_any_size_are_accepted() -> None:
    assert Number(whole=True).accepts(10**400)
    assert not Number().accepts(float("inf"))
