"""A run of a user's own module: `--trusted-packages` allows the user's package, and nothing else."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.inference.module_runs import TEMPLATE, record_module_run
from tests.security.tampering import set_config
from trainyard.config.target_packages import foreign_packages, user_packages
from trainyard.config.trusted import check_stored
from trainyard.config.trusted_paths import own_cache, use_own_caches
from trainyard.inference.evaluate import evaluate
from trainyard.inference.export import export_run
from trainyard.inference.module_predictions import predict_run
from trainyard.io.errors import ConfigError

BORING = "lightning.pytorch.demos.boring_classes.BoringModel"
NET = "tests.user_modules.template.GestureNet"
ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}
LINEAR = {"_target_": "torch.optim.lr_scheduler.LinearLR", "_partial_": True}
CALL = {"_target_": "os.system", "command": "touch ran"}
HUB = {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "m", "source": "local"}

ACCEPTED = {  # arguments in the style of lightning-hydra-template and of modules with several optimizers
    "model.net.layers": [{"_target_": NET}, {"_target_": "torch.nn.ReLU"}],
    "model.criterion": {"_target_": "torch.nn.CrossEntropyLoss"},
    "model.metrics": {"_target_": "torchmetrics.MetricCollection", "metrics": []},
    "model.optimizer_g": ADAM,
    "model.optimizers.discriminator": ADAM,
    "model.opt_d": {**ADAM, "_target_": "timm.optim.Lion"},
    "model.lr_scheduler": {
        "_target_": "torch.optim.lr_scheduler.SequentialLR",
        "_partial_": True,
        "schedulers": [LINEAR],
    },
    "model.tokenizer": {"_target_": "tests.user_modules.transformer.Windows", "context": 2, "part": []},
    "data.train_transforms": {
        "_target_": "torchvision.transforms.Compose",
        "transforms": [
            {"_target_": "torchvision.transforms.ToTensor"},
            {"_target_": "torchvision.transforms.Normalize", "mean": [0.5], "std": [0.5]},
            {"_target_": "torchvision.transforms.v2.RandomHorizontalFlip", "p": 0.5},
        ],
    },
    "net": {"_target_": NET},
    "nets.small.optimizer": ADAM,
    "data.collate": {"_target_": "tests.inference.module_runs.record_module_run", "_partial_": True},
}
REJECTED = {
    "model.net": CALL,
    "model.optimizer": {**CALL, "_partial_": True},
    "model.optimizer.params": HUB,
    "model.optimizer_g": {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
    "model.options": ADAM,
    "model.scheduler.lr_lambda": HUB,
    "model.fid": {"_target_": "torchmetrics.image.fid.FrechetInceptionDistance"},
    "data.transform": {"_target_": "torchvision.transforms.Lambda", "lambd": CALL},
    "data.transforms": [{"_target_": "torchvision.io.read_file", "path": "/etc/passwd"}],
    "data.x": {"_target_": "tests.user_modules.template.torch.hub.load", "repo_or_dir": "."},
    "data.y": {"_target_": "tests.inference.module_runs.json.loads", "s": "1"},
    "net.x": CALL,
    "nets": [HUB],
    "data.z": {"_target_": "functools.partial", "_args_": [CALL]},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the config of a template's module with a value at a dotted path."""
    config = copy.deepcopy(TEMPLATE)
    node: Any = config
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    return config


@pytest.mark.parametrize("path", ACCEPTED)
def test_parts_of_a_trusted_module_are_accepted(path: str) -> None:
    check_stored(changed(path, ACCEPTED[path]), ["tests"])


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_module_run(tmp_path_factory.mktemp("own") / "run", TEMPLATE)


@pytest.mark.parametrize("path", REJECTED)
def test_a_trusted_package_allows_nothing_else(own: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own)
    before = (own / "config.yaml").read_bytes()
    try:
        set_config(own, path, REJECTED[path])
        for command in (evaluate, predict_run):
            with pytest.raises(ConfigError, match=r"_target_=.*must not build it here|interpolation"):
                command(str(own), trusted=["tests"])
        with pytest.raises(ConfigError, match="must not build it here"):
            export_run(str(own), "safetensors", None, ["tests"])
    finally:
        (own / "config.yaml").write_bytes(before)
    assert not (own / "ran").exists()


def test_module_in_the_current_folder_is_not_imported_without_trust(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    before = (own / "config.yaml").read_bytes()
    try:
        set_config(own, "model._target_", "theirs.Module")
        for command in (evaluate, predict_run):
            with pytest.raises(ConfigError, match=r"model\._target_=theirs\.Module: a stored config must not build"):
                command(str(own), trusted=["tests"])
    finally:
        (own / "config.yaml").write_bytes(before)
    assert not (tmp_path / "ran").exists()


def test_argument_cache_of_an_own_class_is_kept(tmp_path: Path) -> None:
    config = {"data": {"_target_": "mine.Data", "cache": True}}
    use_own_caches(config)
    assert config["data"]["cache"] is True
    config["data"]["_target_"] = "trainyard.data.sources.image_folder.ImageFolder"
    use_own_caches(config)
    assert config["data"]["cache"] == own_cache()


def test_packages_that_need_trust_are_named() -> None:
    """A package may be allowed in one place only: Lightning's own modules and torch's optimizers are no models."""
    config = {
        "model": {
            "_target_": "lightning.pytorch.demos.boring_classes.BoringModel",
            "net": {"_target_": "timm.layers.Mlp"},
        },
        "data": {"_target_": "mine.Data", "t": {"_target_": "torchvision.transforms.Compose"}},
        "callbacks": {"a": {"_target_": "src.callbacks.Own"}, "b": None},
        "loss": {"_target_": None},
        "sweep": {"sampler": {"_target_": "optuna.samplers.TPESampler"}},
        "strange": {"_target_": "os.system"},
    }
    assert foreign_packages(config) == ["lightning", "mine", "os", "src"]
    assert user_packages(config) == ["mine", "os", "src"]
    assert foreign_packages({"optimizer": {"_target_": "timm.optim.Lion"}}) == []
