"""The configs of jobs are those that Hydra composes, for every option and every kind of override."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from trainyard.config.composition import CONF_DIR, CONFIG_NAME
from trainyard.config.config_folders import search_first
from trainyard.sweeps.execution.job_configs import JobConfigs

OWN = {  # files of a user's folder
    "data/mine.yaml": """
        defaults:
          - digits
          - override /model@_global_.model: cnn
        batch_size: 7
        order: ${seed}
    """,
    "model/cnn.yaml": "_target_: trainyard.models.cnn.CNN\nchannels: [4]\ndropout: ${optimizer.lr}\n",
    "extra/one.yaml": "# @package _global_\noptimizer:\n  lr: 0.25\nseed: 5\n",
    "extra/two.yaml": "# @package _global_\ndefaults:\n  - one\n  - override /scheduler: step\nseed: 6\n",
    "experiment/own.yaml": """
        # @package _global_
        defaults:
          - /extra: one
          - override /data: mine
        model:
          channels: [5, 6]
    """,
}


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder for `--config-dir`."""
    for name, text in OWN.items():
        file = tmp_path / "conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(line.removeprefix(" " * 8) for line in text.strip().split("\n")))
    return tmp_path / "conf"


class CountingLoader:
    """Hydra's loader; counts the configs that it composes."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader, self.count = loader, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def load_sweep_config(self, config: DictConfig, overrides: list[str]) -> DictConfig:
        self.count += 1
        return self.loader.load_sweep_config(config, overrides)


@pytest.fixture
def loader(own_folder: Path) -> Iterator[CountingLoader]:
    """A loader of the built-in options and those of a user."""
    with search_first([own_folder]), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        yield CountingLoader(GlobalHydra.instance().config_loader())


def sweep_config(loader: CountingLoader, *overrides: str) -> DictConfig:
    """The config of the sweep itself."""
    words = ["hydra.job.name=train", *overrides]
    return loader.load_configuration(CONFIG_NAME, overrides=words, run_mode=RunMode.MULTIRUN)  # type: ignore[no-any-return]


def content(config: DictConfig) -> tuple[str, list[object]]:
    """All keys in their order with unresolved values, and the type and flags of each node."""
    nodes: list[Any] = [config]
    for node in nodes:
        if isinstance(node, DictConfig | ListConfig) and not (node._is_none() or node._is_missing()):
            keys = node.keys() if isinstance(node, DictConfig) else range(len(node))
            nodes += [child for key in keys if (child := node._get_node(key)) is not None]
    flags = [(node._get_full_key(None), type(node), node._metadata.flags, node._metadata.ref_type) for node in nodes]
    return OmegaConf.to_yaml(config), flags


def folder(number: int) -> list[str]:
    """The overrides that a sweep adds to those of its jobs."""
    return ["hydra.sweep.dir=outputs/x", "sweep.pruner=none", f"hydra.sweep.subdir={number}"]


def assert_equal(loader: CountingLoader, config: DictConfig, jobs: Sequence[Sequence[str]]) -> None:
    """Assert that all jobs are those of Hydra, also when they are composed again."""
    configs = JobConfigs(loader, config)  # type: ignore[arg-type]
    numbered = [[*words, *folder(number)] for number, words in enumerate(jobs)]
    expected = [content(loader.loader.load_sweep_config(config, words)) for words in numbered]
    for words, same in [*zip(numbered, expected, strict=True)] * 2:
        assert content(configs.compose(words)) == same, words
    assert loader.count == len(configs.bases)  # nothing was left to Hydra


def options(group: str) -> list[str]:
    """The options of a built-in group."""
    return [f"{group}={file.stem}" for file in sorted((CONF_DIR / group).glob("*.yaml"))]


GROUPS = sorted(path.name for path in CONF_DIR.iterdir() if path.is_dir() and path.name not in ("experiment", "hydra"))
VALUES = ["optimizer.lr=0.5", "seed=3", "trainer.max_epochs=7", "+data.batch_size=9"]


@pytest.mark.slow
def test_every_option(loader: CountingLoader) -> None:
    columns = [options(group) for group in GROUPS if group != "metrics"]
    columns.append([f"metrics=[{word.partition('=')[2]}]" for word in options("metrics")])
    rows = [[word for word in row if word] for row in zip_longest(*columns)]
    assert sum(map(len, rows)) == sum(1 for group in GROUPS for _ in (CONF_DIR / group).glob("*.yaml"))
    assert_equal(loader, sweep_config(loader), [[*row, *VALUES] for row in rows])


@pytest.mark.slow
def test_every_experiment(loader: CountingLoader) -> None:
    jobs = [["optimizer.lr=0.5", word, "seed=${oc.env:HOME}"] for word in options("experiment")]
    jobs += [[word, "model=tabular", "model.hidden_dims=[3]"] for word in options("experiment")[::3]]
    assert_equal(loader, sweep_config(loader), jobs)


SYNTAX = [
    ["optimizer.lr=1e-3", "optimizer.lr=0.2"],
    ["model.hidden_dims=[1,[2,3],{a: b}]"],
    ["+model.nested={a: {b: [1, null]}, c: 'x y'}", "++model.nested.a.d=${seed}", "+model.nested={e: 1}"],
    ["optimizer={lr: 5}", "optimizer=sgd", "optimizer.momentum=0.1"],
    ["+new.deep.key=1", "new.deep.key=2", "++new.deep.other=true"],
    ["~optimizer.lr", "+optimizer.lr=4"],
    ["+new={a: 1}", "~new.a", "+new.b=null"],
    ["~trainer.max_epochs", "~seed"],
    ["~scheduler", "seed=1"],
    ["~model=mlp", "seed=2"],
    ["seed=${data.seed}", "data.seed=${optimizer.lr}", "+data.root=a_${seed}_${random_hex:}"],
    ["data=table", "data.path='a, b = \\'c\\'.csv'", "data.target=\"${oc.env:HOME,'x'}\"", "model=mlp"],
    ["data=table", "+data.path=x", "data.target=???"],
    ["data=table", "model.dropout=0.5", "data.target=[a,b]", "data.path=\\ spaced"],
    ["+optimizer@second=sgd", "second.lr=0.3", "+second.fresh=1"],
    ["+data@inside=digits", "inside.batch_size=3"],
    ["data=mine", "data.batch_size=3", "+extra=one", "optimizer.lr=1"],
    ["+extra=[one,two]", "seed=9"],
    ["experiment=own", "optimizer.lr=1", "data.order=2"],
    ["experiment=own", "model=mlp", "augment.flip=0.1"],
    ["metrics=[f1,auroc]", "+metrics.mine._target_=x.Y", "+metrics.f1.thing=null", "loss=focal", "loss.gamma=3"],
    ["callbacks=none", "+callbacks.a._target_=x.Y", "++callbacks.a.b=c"],
    ["hydra.run.dir=x", "hydra.job.env_copy=[HOME]", "seed=1", "hydra.job.config.override_dirname.exclude_keys=[seed]"],
    ["+hydra.job.env_set.A=b", "hydra.launcher.slots=3", "hydra/launcher=stacked", "+hydra.launcher.more=1"],
    ["seed=null", "debug=fast", "sweep.keep=3"],
    ["seed=0x1", "optimizer.lr=.5", "compile=yes", "ema_decay=nan", "+data.cache=a:b/c"],
    ["objective=val/loss", "objective_mode=min", "optimizer.betas=[0.1,0.2]", "checkpoint={every_steps: 3}"],
]


@pytest.mark.slow
def test_every_kind_of_override(loader: CountingLoader) -> None:
    assert_equal(loader, sweep_config(loader, "hydra.launcher.slots=2"), SYNTAX)


REJECTED = [
    ["optimizer.unknown=1"],
    ["unknown.key=1"],
    ["optimizer=unknown"],
    ["+seed=1"],
    ["~unknown"],
    ["~optimizer.lr=7"],
    ["seed.x=1"],
    ["seed=1,2"],
    ["unknown@here=1"],
    ["++optimizer=adam"],
    ["optimizer=3"],
    ["data@other=digits"],
    ["hydra.unknown=1"],
    ["seed=[1"],
]


def test_errors_are_those_of_hydra(loader: CountingLoader) -> None:
    config = sweep_config(loader)
    configs = JobConfigs(loader, config)  # type: ignore[arg-type]
    for words in REJECTED:
        with pytest.raises((HydraException, ValueError)) as expected:
            loader.loader.load_sweep_config(config, [*words, *folder(0)])
        with pytest.raises(type(expected.value)) as error:
            configs.compose([*words, *folder(0)])
        assert str(error.value) == str(expected.value)


def test_hydra_composes_each_choice_of_options_once(loader: CountingLoader) -> None:
    configs = JobConfigs(loader, sweep_config(loader))  # type: ignore[arg-type]
    for number in range(200):
        model = "mlp" if number % 2 else "cnn"
        words = [f"optimizer.lr={number + 1}", f"model={model}", "~callbacks.finite_loss", *folder(number)]
        config = configs.compose(words)
        assert (config.optimizer.lr, config.hydra.sweep.subdir) == (number + 1, str(number))
    assert loader.count == 2


def test_searchpath_of_the_command(loader: CountingLoader, tmp_path: Path) -> None:
    (tmp_path / "further" / "special").mkdir(parents=True)
    (tmp_path / "further" / "special" / "one.yaml").write_text("value: 1\n")
    config = sweep_config(loader, f"hydra.searchpath=[{tmp_path}/further]")
    assert_equal(loader, config, [["+special=one", "special.value=2"], ["seed=4"]])
