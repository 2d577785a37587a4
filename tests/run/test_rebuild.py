"""The model of any run is rebuilt from its config and checkpoint."""

from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from tests.inference.module_runs import TEMPLATE, UNET, record_module_run
from tests.user_modules.template import GestureClassifier, GestureNet
from trainyard.config.trusted_paths import own_cache
from trainyard.io.errors import ConfigError
from trainyard.run.rebuild import build_stored
from trainyard.run.run_result import RunResult


def test_module_that_takes_a_network_is_loaded_with_its_weights(tmp_path: Path) -> None:
    folder = record_module_run(tmp_path / "run", TEMPLATE)
    state = torch.random.get_rng_state()
    model = RunResult.read(folder).load_model(["tests"])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert isinstance(model, GestureClassifier)
    assert isinstance(model.net, GestureNet)
    assert not model.training
    stored = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_data_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record_module_run(tmp_path / "run", UNET)
    config = OmegaConf.load(folder / "config.yaml")
    config.data.path = "gone"
    OmegaConf.save(config, folder / "config.yaml")
    assert RunResult.read(folder).load_model(["tests"]).head.out_channels == 1


def test_package_must_be_trusted(tmp_path: Path) -> None:
    folder = record_module_run(tmp_path / "run", UNET)
    with pytest.raises(ConfigError, match=r"_target_=tests\.user_modules.* must not build it here"):
        RunResult.read(folder).load_model()
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(ConfigError, match=r"best\.ckpt: unreadable"):
        RunResult.read(folder).load_model(["tests"])


def test_advice_on_hyperparameters_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In these tests, a warning is an error."""
    folder = record_module_run(tmp_path / "run", TEMPLATE)
    monkeypatch.setattr(
        GestureClassifier,
        "save_hyperparameters",
        lambda module, **options: L.LightningModule.save_hyperparameters(module),
    )
    assert "net" in RunResult.read(folder).load_model(["tests"]).hparams


def test_stored_cache_is_not_written(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "root" / name).mkdir(parents=True)
        Image.linear_gradient("L").resize((8, 8)).save(tmp_path / "root" / name / "1.png")
    data = {
        "_target_": "trainyard.data.sources.image_folder.ImageFolder",
        "root": str(tmp_path / "root"),
        "cache": str(tmp_path / "theirs"),
    }
    model = {"_target_": "trainyard.models.supervised.OptimizerMixin"}
    _, built = build_stored(OmegaConf.create({"seed": 0, "data": data, "model": model}))
    assert str(built.cache) == own_cache()
