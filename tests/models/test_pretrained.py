"""Weights that timm downloads: from the cache where they are there, and named where they cannot be had."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from trainyard.data.loading.spec import DataSpec
from trainyard.errors import ConfigError
from trainyard.models.transfer import TransferModel

THREE = DataSpec((3, 64, 64), ("a", "b", "c"), (), (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, on a machine without a network."""
    from huggingface_hub import constants

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("trainyard.network.urlopen", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_cached_weights_need_no_network(cache: Path) -> None:
    torch.manual_seed(7)
    state = {
        name: tensor + torch.rand(1)
        for name, tensor in timm.create_model("test_resnet", num_classes=1000).state_dict().items()
    }
    model = cache / "models--timm--test_resnet.r160_in1k"
    (model / "snapshots" / "abc").mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    save_file(state, model / "snapshots" / "abc" / "model.safetensors")
    filled = TransferModel(THREE, backbone="test_resnet", weights="pretrained", image_size=32)
    assert torch.equal(filled.backbone.conv1[0].weight, state["conv1.0.weight"])
    assert filled.head.out_features == 3
    assert filled.hparams["weights"] == "none", "a checkpoint of it downloads nothing again"


@pytest.mark.parametrize("folders", ["", "models--timm--resnet18.a1_in1k/blobs"], ids=["empty", "broken off"])
def test_without_a_network_the_cache_is_named(cache: Path, folders: str) -> None:
    (cache / folders).mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError, match=rf"model\.weights=pretrained: .*{cache}.*\n.*PATH"):
        TransferModel(THREE, backbone="resnet18", weights="pretrained")


def test_a_model_without_weights_says_so(cache: Path) -> None:
    problem = r"model\.weights=pretrained: timm has no weights for botnet50ts_256\n  accepted: model\.weights=PATH"
    with pytest.raises(ConfigError, match=problem):
        TransferModel(THREE, backbone="botnet50ts_256", weights="pretrained")
