"""What a stored config may build: the object decides, not its dotted name, and its place."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.security.tampering import change
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
SPOTS = [
    *("data", "data.x", "model", "model.net", "optimizer", "scheduler", "augment", "finetune", "callbacks.x"),
    *("callbacks.x.y", "logger.x", "trainer", "trainer.strategy", "trainer.profiler", "trainer.plugins"),
    *("trainer.callbacks", "checkpoint", "checkpoint.x", "run", "run.x", "strange", "seed"),
]


def placed(spot: str, node: Any) -> dict[str, Any]:
    """A config with a node at a dotted path."""
    for name in reversed(spot.split(".")):
        node = {name: node}
    return node


@pytest.mark.parametrize("spot", SPOTS)
def test_no_call_is_accepted_anywhere(spot: str) -> None:
    before = set(sys.modules)
    for call in CALLS:
        for node in (call, {**call, "_partial_": True}):
            with pytest.raises(ConfigError, match=r"_target_=.*must not build it here"):
                check_stored(placed(spot, node))
    for node in ([CALLS[0]], {"deeper": [[CALLS[0]]]}):
        with pytest.raises(ConfigError, match=r"_target_=torch\.hub\.load"):
            check_stored(placed(spot, node))
    assert not {
        name for name in set(sys.modules) - before if name.startswith(("torch.utils.cpp", "torch.distributed.run"))
    }


SOUND = {
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


@pytest.mark.parametrize("spot", SOUND)
def test_each_kind_belongs_to_its_place(spot: str) -> None:
    for other, names in SOUND.items():
        for name in names:
            config = placed(spot, {"_target_": name})
            if other == spot:
                check_stored(config)
                with pytest.raises(ConfigError, match="_args_"):
                    check_stored(placed(spot, {"_target_": name, "_args_": [1]}))
            elif (spot, other) != ("model.net", "model"):  # a network may contain another
                with pytest.raises(ConfigError, match="must not build it here"):
                    check_stored(config)


@pytest.mark.parametrize(
    ("spot", "node"),
    [
        ("logger.x", {"_target_": "lightning.pytorch.loggers.WandbLogger", "settings": {"x_executable": "/tmp/evil"}}),
        ("callbacks.x", {"_target_": "lightning.pytorch.callbacks.ThroughputMonitor", "separator": "x"}),
        ("trainer", {"_target_": "lightning.Trainer", "model_registry": "them/theirs"}),
        ("model", {"_target_": "trainyard.models.mlp.MLP", "weights_only": False}),
        ("scheduler", {"_target_": "torch.optim.lr_scheduler.LambdaLR", "lr_lambda": {"_target_": "torch.load"}}),
        ("trainer.plugins", [{"_target_": "lightning.pytorch.plugins.AsyncCheckpointIO", "checkpoint_io": HUB}]),
    ],
)
def test_arguments_that_could_run_code_or_send_weights(spot: str, node: Any) -> None:
    with pytest.raises(ConfigError, match=r"must not build it here|that a stored config may set"):
        check_stored(placed(spot, node))


def test_no_file_beside_the_run_is_imported_for_a_package(tmp_path: Path) -> None:
    """Neither a file named as an allowed package, nor one that only the config names."""
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


def test_all_places_of_a_run_are_known() -> None:
    """Every node that a composed run builds has a kind, so that no own run is rejected."""
    config = OmegaConf.to_container(compose(["callbacks=early_stopping", "accelerator=ddp_cpu", "debug=profile"]))
    built = [path for path, node in walk(config) if isinstance(node, dict) and "_target_" in node]
    assert len(built) > 8
    check_stored(config, unbuilt=["sweep"])
    assert len(PLACES) == 14


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
def test_resume_and_reproduce_reject_the_config(run: Path, path: str, value: Any) -> None:
    change(run, path, value)
    (run / "result.json").unlink()
    with pytest.raises(ConfigError, match=re.escape(path.partition(".")[0])):
        config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    with pytest.raises(ConfigError, match=r"this would run code from its directory|must not contain"):
        confirm(StoredRun(run), None, False, StoredRun(run).config, run)


def test_own_directory_and_caches_are_used(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "own"))
    change(run, "run.dir", "/tmp/elsewhere")
    change(run, "data.cache", "/tmp/elsewhere")
    cache = {"_target_": "trainyard.models.feature_cache.FeatureCache", "folder": "/tmp/elsewhere"}
    change(run, "callbacks", {"cache": cache})
    change(run, "logger", {})
    cfg = config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    assert (cfg.run.dir, cfg.data.cache, cfg.callbacks.cache.folder) == ("run", *2 * [str(tmp_path / "own")])


def test_values_on_the_command_line_are_accepted(run: Path) -> None:
    change(run, "logger.csv.save_dir", "/tmp/elsewhere")
    cfg = config_to_resume(StoredRun(run), ["trainer.max_epochs=2", "logger.csv.save_dir=/tmp/mine"])
    assert cfg.logger.csv.save_dir == "/tmp/mine"
    change(run, "callbacks.x", HUB)
    with pytest.raises(ConfigError, match=r"torch\.hub\.load"):
        config_to_resume(StoredRun(run), ["logger.csv=null", "callbacks.x={model: n}"])
    assert config_to_resume(StoredRun(run), ["logger.csv=null", "callbacks.x=null"]).callbacks.x is None


def test_nothing_is_downloaded_on_resuming(run: Path) -> None:
    data = {
        "_target_": "trainyard.data.sources.torchvision_datasets.TorchvisionDataset",
        "name": "MNIST",
        "root": "/tmp/nobody/typed",
    }
    change(run, "data", data)
    with pytest.raises(ConfigError, match="must not download outside"):
        check_training({**StoredRun(run).config, "logger": {}}, run)
