"""A stored config may only instantiate trusted classes, each at its place; the resolved object counts, not its name."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.security.tampering import set_config
from trainyard.config.composition import compose, walk
from trainyard.config.trusted import PLACES, check_stored
from trainyard.config.trusted_paths import check_training
from trainyard.history.reproduce import confirm
from trainyard.history.stored_config import config_to_resume
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError

HUB = {"_target_": "torch.hub.load", "repo_or_dir": "hub", "model": "m", "source": "local"}
LOAD = {"_target_": "torch.load", "f": "evil.pt", "weights_only": False}
CALLS = [
    HUB,
    LOAD,
    {**HUB, "_target_": "lightning.pytorch.callbacks.model_checkpoint.torch.hub.load"},
    {**HUB, "_target_": "lightning.pytorch.loggers.csv_logs.os.system"},
    {**LOAD, "_target_": "trainyard.io.weight_files.torch.load"},
    {**LOAD, "_target_": "torch.nn.modules.module.torch.load"},
    {**LOAD, "_target_": "torch.optim.optimizer.torch.load"},
    {"_target_": "trainyard.optim.schedules.math.__loader__.load_module"},
    {"_target_": "trainyard.data.loading.datamodule.DataModule.__subclasses__"},
    {"_target_": "torch.utils.cpp_extension.load", "name": "x", "sources": []},
    {"_target_": "torch.jit.load", "f": "x"},
    {"_target_": "torch.distributed.run.main"},
    {"_target_": "torch.nn.modules.module.functools.partial"},
    {"_target_": "hydra.utils.get_method", "path": "os.system"},
    {"_target_": "timm.create_model", "checkpoint_path": "evil.pt"},
    {"_target_": "lightning.Fabric"},
    {"_target_": "trainyard.io.files.write_text", "path": "x", "text": "y"},
    {"_target_": 7},
    {"_target_": None},
    {"_target_": ["torch", "hub"]},
]
PATHS = [
    *("data", "data.x", "model", "model.net", "optimizer", "scheduler", "augment", "finetune", "callbacks.x"),
    *("callbacks.x.y", "logger.x", "trainer", "trainer.strategy", "trainer.profiler", "trainer.plugins"),
    *("trainer.callbacks", "checkpoint", "checkpoint.x", "run", "run.x", "strange", "seed"),
]


def config_with(path: str, node: Any) -> dict[str, Any]:
    """Return a config with a node at a dotted path."""
    for name in reversed(path.split(".")):
        node = {name: node}
    return node


@pytest.mark.parametrize("path", PATHS)
def test_calls_are_rejected_everywhere(path: str) -> None:
    before = set(sys.modules)
    for call in CALLS:
        for node in (call, {**call, "_partial_": True}):
            with pytest.raises(ConfigError, match=r"_target_=.*must not build it here"):
                check_stored(config_with(path, node))
    for node in ([CALLS[0]], {"deeper": [[CALLS[0]]]}):
        with pytest.raises(ConfigError, match=r"_target_=torch\.hub\.load"):
            check_stored(config_with(path, node))
    assert not {
        name for name in set(sys.modules) - before if name.startswith(("torch.utils.cpp", "torch.distributed.run"))
    }


VALID = {
    "optimizer": ["torch.optim.Adam", "torch.optim.adam.Adam", "timm.optim.Lion"],
    "scheduler": ["trainyard.optim.schedules.cosine", "torch.optim.lr_scheduler.StepLR"],
    "model": ["trainyard.models.mlp.MLP"],
    "data": ["trainyard.data.sources.builtin.Digits"],
    "callbacks.x": ["lightning.pytorch.callbacks.EarlyStopping", "trainyard.callbacks.tensorboard_model.Throughput"],
    "logger.x": ["lightning.pytorch.loggers.CSVLogger", "trainyard.run.metrics_table.MetricsTable"],
    "trainer": ["lightning.Trainer"],
    "trainer.strategy": ["trainyard.run.distributed.strategies.DDP", "lightning.pytorch.strategies.DDPStrategy"],
    "trainer.profiler": ["lightning.pytorch.profilers.SimpleProfiler", "lightning.pytorch.profilers.AdvancedProfiler"],
    "trainer.plugins": ["lightning.pytorch.plugins.environments.SLURMEnvironment"],
    "model.net": ["torch.nn.ReLU", "torchmetrics.classification.MulticlassAccuracy"],
}


@pytest.mark.parametrize("path", VALID)
def test_each_class_is_accepted_only_at_its_place(path: str) -> None:
    for other, names in VALID.items():
        for name in names:
            config = config_with(path, {"_target_": name})
            if other == path:
                check_stored(config)
                with pytest.raises(ConfigError, match="_args_"):
                    check_stored(config_with(path, {"_target_": name, "_args_": [1]}))
            elif (path, other) != ("model.net", "model"):  # a network may contain another
                with pytest.raises(ConfigError, match="must not build it here"):
                    check_stored(config)


def test_layers_of_a_sequential_need_no_names() -> None:
    """It accepts them as positional arguments only; they are checked like other nodes."""
    layers = [{"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 1}]
    check_stored(config_with("model.net", {"_target_": "torch.nn.Sequential", "_args_": layers}))
    for bad in ({"_target_": "os.system", "command": "true"}, {"_target_": "torch.nn.ReLU", "_args_": [True]}):
        with pytest.raises(ConfigError, match="must not build it here"):
            check_stored(config_with("model.net", {"_target_": "torch.nn.Sequential", "_args_": [*layers, bad]}))


@pytest.mark.parametrize(
    ("path", "node"),
    [
        ("logger.x", {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"x_executable": "/tmp/evil"}}),
        ("callbacks.x", {"_target_": "lightning.pytorch.callbacks.ThroughputMonitor", "separator": "x"}),
        ("trainer", {"_target_": "lightning.Trainer", "model_registry": "them/theirs"}),
        ("model", {"_target_": "trainyard.models.mlp.MLP", "weights_only": False}),
        ("scheduler", {"_target_": "torch.optim.lr_scheduler.LambdaLR", "lr_lambda": {"_target_": "torch.load"}}),
        ("trainer.plugins", [{"_target_": "lightning.pytorch.plugins.AsyncCheckpointIO", "checkpoint_io": HUB}]),
    ],
)
def test_dangerous_arguments_are_rejected(path: str, node: Any) -> None:
    with pytest.raises(ConfigError, match=r"must not build it here|that a stored config may set"):
        check_stored(config_with(path, node))


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    """Neither modules with the name of a trusted package, nor modules that the config names."""
    for name in ("timm", "torchmetrics", "torchvision", "mine"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = """
from trainyard.io.errors import ConfigError
from trainyard.config.trusted import check_stored
check_stored({"optimizer": {"_target_": "timm.optim.Lion"}})
try:
    check_stored({"optimizer": {"_target_": "mine.Lion"}})
except ConfigError:
    print("rejected")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "rejected\n"
    assert not (tmp_path / "ran").exists()


def test_composed_configs_are_accepted() -> None:
    """Every node that is instantiated by a composed config has a known kind."""
    config = OmegaConf.to_container(compose(["callbacks=early_stopping", "accelerator=ddp_cpu", "debug=profile"]))
    built = [path for path, node in walk(config) if isinstance(node, dict) and "_target_" in node]
    assert len(built) > 8
    check_stored(config, unbuilt=["sweep"])
    assert len(PLACES) == 17


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("callbacks.x", HUB),
        ("callbacks.x", {**HUB, "_target_": "lightning.pytorch.callbacks.model_checkpoint.torch.hub.load"}),
        ("logger.csv.save_dir", "/tmp/elsewhere"),
        ("logger.csv.save_dir", "../elsewhere"),
        ("logger.x", {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "~"}),
        ("logger.x", {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "run", "name": "/tmp/elsewhere"}),
        ("logger.x", {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "run", "version": "../../x"}),
        ("logger.x", {"_target_": "lightning.pytorch.loggers.MLFlowLogger", "tracking_uri": "http://their.server"}),
        ("callbacks.x", {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": "elsewhere"}),
        ("callbacks.x", {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "filename": "../../x"}),
        ("trainer.profiler", {"_target_": "lightning.pytorch.profilers.SimpleProfiler", "dirpath": ".."}),
        ("trainer.profiler", {"_target_": "lightning.pytorch.profilers.SimpleProfiler", "dirpath": "/tmp/elsewhere"}),
        ("run.dir", "${oc.env:SECRET}"),
        ("sweep.x", "${oc.env:SECRET}"),
    ],
)
def test_resume_and_reproduce_reject_untrusted_values(run: Path, path: str, value: Any) -> None:
    set_config(run, path, value)
    (run / "result.json").unlink()
    with pytest.raises(ConfigError, match=re.escape(path.partition(".")[0])):
        config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    with pytest.raises(ConfigError, match=r"this would run code from its directory|must not contain"):
        confirm(StoredRun(run), None, False, StoredRun(run).config, run)


def test_directory_and_caches_of_the_user_are_used(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "own"))
    set_config(run, "run.dir", "/tmp/elsewhere")
    set_config(run, "data.cache", "/tmp/elsewhere")
    cache = {"_target_": "trainyard.models.feature_cache.FeatureCache", "folder": "/tmp/elsewhere"}
    set_config(run, "callbacks", {"cache": cache})
    set_config(run, "logger", {})
    cfg = config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    assert (cfg.run.dir, cfg.data.cache, cfg.callbacks.cache.folder) == ("run", *2 * [str(tmp_path / "own")])


def test_values_on_the_command_line_are_accepted(run: Path) -> None:
    set_config(run, "logger.csv.save_dir", "/tmp/elsewhere")
    cfg = config_to_resume(StoredRun(run), ["trainer.max_epochs=2", "logger.csv.save_dir=/tmp/mine"])
    assert cfg.logger.csv.save_dir == "/tmp/mine"
    set_config(run, "callbacks.x", HUB)
    with pytest.raises(ConfigError, match=r"torch\.hub\.load"):
        config_to_resume(StoredRun(run), ["logger.csv=null", "callbacks.x={model: n}"])
    assert config_to_resume(StoredRun(run), ["logger.csv=null", "callbacks.x=null"]).callbacks.x is None


def test_resuming_does_not_download_outside(run: Path) -> None:
    data = {
        "_target_": "trainyard.data.sources.torchvision_datasets.TorchvisionDataset",
        "name": "MNIST",
        "root": "/tmp/nobody/typed",
    }
    set_config(run, "data", data)
    with pytest.raises(ConfigError, match="must not download outside"):
        check_training({**StoredRun(run).config, "logger": {}}, run)
