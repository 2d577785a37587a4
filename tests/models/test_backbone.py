"""Weights of a backbone: from files of every kind, from checkpoints of runs, from timm; and files without any."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.io.weight_files import write_safetensors
from trainyard.models.transfer import TransferModel

THREE = DataSpec((3, 64, 64), Classes(("a", "b", "c")), (), (0.5,) * 3, (0.25,) * 3)
FOUR, OTHER_THREE, REORDERED = (replace(THREE, target=Classes(tuple(names))) for names in ("abcd", "xyz", "cba"))
State = dict[str, Tensor]


def state_of(name: str = "test_resnet", **options: int) -> State:
    torch.manual_seed(7)
    net = timm.create_model(name, num_classes=3, **options)
    return {key: torch.randn_like(tensor) if tensor.ndim else tensor + 5 for key, tensor in net.state_dict().items()}


def built(path: Path | str, spec: DataSpec = THREE, **options: object) -> TransferModel:
    return TransferModel(spec, **{"backbone": "test_resnet", "image_size": 32, "weights": str(path), **options})


def filled(model: TransferModel, state: State) -> bool:
    own = model.backbone.state_dict()
    assert len(own) == len(state) - 2, "all but the classifier"
    return all(torch.equal(tensor, state[name]) for name, tensor in own.items())


def message(caplog: pytest.LogCaptureFixture) -> tuple[int, str]:
    [record] = [record for record in caplog.records if record.getMessage().startswith("weights ")]
    return record.levelno, record.getMessage().partition("; ")[2]


def prefixed(state: State) -> State:
    return {f"module.{name}": tensor for name, tensor in state.items()}


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "timm.safetensors": save_file,
    "plain.pth": torch.save,
    "lightning.ckpt": lambda state, path: torch.save({"state_dict": state, "epoch": 3}, path),
    "model.pt": lambda state, path: torch.save({"model": state, "optimizer": {"lr": 0.1}}, path),
    "averaged.pth": lambda state, path: torch.save({"state_dict": {}, "state_dict_ema": state}, path),
    "parallel.pth": lambda state, path: torch.save(prefixed(state), path),
    "parallel.safetensors": lambda state, path: save_file(prefixed(state), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_weights_come_from_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    caplog.set_level(logging.INFO)
    state = state_of()
    WRITERS[name](state, tmp_path / name)
    model = built(tmp_path / name)
    assert filled(model, state)
    assert not model.head.weight.any(), "the head is new"
    assert not model.head.bias.any()
    assert message(caplog) == (logging.INFO, "0 have another shape, 0 missing, 0 unexpected")
    assert f"weights    {len(state) - 2} of {len(state) - 2} tensors loaded from {tmp_path / name}" in caplog.text


def test_partly_loaded_backbone_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = state_of()
    fresh = {name: tensor.clone() for name, tensor in built("none").backbone.state_dict().items()}
    part = {name: tensor for name, tensor in state.items() if not name.startswith("layer4.")}
    torch.save({**part, "conv1.0.weight": torch.zeros(1, 2), "more": torch.zeros(1)}, tmp_path / "part.pth")
    torch.manual_seed(0)
    own = built(tmp_path / "part.pth").backbone.state_dict()
    assert torch.equal(own["layer3.0.conv1.weight"], state["layer3.0.conv1.weight"])
    assert own["conv1.0.weight"].shape == fresh["conv1.0.weight"].shape
    missing = len(state) - len(part)
    assert missing == 18
    assert message(caplog) == (logging.WARNING, f"1 have another shape, {missing} missing, 1 unexpected")


@pytest.fixture
def ours(tmp_path: Path) -> tuple[TransferModel, Path]:
    """Return a model of three classes at 64 pixels, and its checkpoint."""
    model = built("none", backbone="test_vit", image_size=64)
    torch.nn.init.normal_(model.head.weight)  # a trained head
    torch.nn.init.normal_(model.head.bias)
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    model.trainer = trainer
    trainer.save_checkpoint(tmp_path / "ours.ckpt")
    return model, tmp_path / "ours.ckpt"


@pytest.mark.parametrize("exported", [False, True], ids=["ckpt", "safetensors"])
@pytest.mark.parametrize("spec", [THREE, FOUR, OTHER_THREE, REORDERED], ids=["same", "more", "others", "reordered"])
def test_the_head_of_a_run_is_loaded_for_the_same_class_names(
    ours: tuple[TransferModel, Path], caplog: pytest.LogCaptureFixture, spec: DataSpec, exported: bool
) -> None:
    caplog.set_level(logging.INFO)
    first, path = ours
    if exported:
        path = path.with_suffix(".safetensors")
        write_safetensors(first, path)
    second = built(path, spec, backbone="test_vit", image_size=None)
    assert second.input_size == (3, 64, 64), "the size that it was trained at"
    assert second.hparams["image_size"] == 64
    if spec is THREE:
        assert torch.equal(second.head.weight, first.head.weight)
        assert torch.equal(second.head.bias, first.head.bias)
        assert f"head       from {path}, which has the same classes" in caplog.text
    else:
        assert not second.head.weight.any()
        assert f"head       new: {path} was trained on the classes a, b, c" in caplog.text
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(tensor, second.backbone.state_dict()[name])
    assert "0 have another shape, 0 missing, 0 unexpected" in caplog.text


@pytest.mark.parametrize(
    "hyperparameters", [{}, [1], {"spec": None}, {"spec": {}}, {"spec": {"classes": "abc"}, "image_size": "64"}]
)
def test_a_checkpoint_with_invalid_hyperparameters_is_loaded(
    ours: tuple[TransferModel, Path], hyperparameters: object
) -> None:
    first, path = ours
    stored = torch.load(path, weights_only=True)
    torch.save({**stored, "hyper_parameters": hyperparameters}, path)
    second = built(path, backbone="test_vit", image_size=64)
    assert not second.head.weight.any()
    assert torch.equal(second.backbone.pos_embed, first.backbone.pos_embed)


def test_positions_are_converted_to_another_image_size(
    ours: tuple[TransferModel, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, path = ours
    second = built(path, backbone="test_vit", image_size=32)
    assert second.input_size == (3, 32, 32)
    oracle = resample_abs_pos_embed(first.backbone.pos_embed, [2, 2], [4, 4], num_prefix_tokens=1)
    assert torch.allclose(second.backbone.pos_embed, oracle, atol=1e-6)
    assert torch.equal(second.backbone.blocks[0].mlp.fc1.weight, first.backbone.blocks[0].mlp.fc1.weight)
    assert message(caplog) == (logging.INFO, "0 have another shape, 0 missing, 0 unexpected")


def test_none_is_random_by_the_seed() -> None:
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(built("none").backbone.conv1[0].weight)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (print, ("executed",))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (Path.mkdir, "not a regular file"),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 8), "not a checkpoint"),
    "empty": (Path.touch, "not a checkpoint"),
    "payload": (lambda path: torch.save({"state_dict": Payload()}, path), "not a checkpoint"),
    "no tensors": (lambda path: torch.save({"epoch": 3}, path), "it contains no state dict"),
    "a list": (lambda path: torch.save([torch.zeros(1)], path), "not a checkpoint"),
    "other network": (lambda path: torch.save(nn.Linear(2, 2).state_dict(), path), "none of its 2 tensors fits"),
}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("kind", BAD)
def test_invalid_weights_are_rejected(tmp_path: Path, capsys: pytest.CaptureFixture, kind: str, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    make, problem = BAD[kind]
    make(path)
    if suffix == "safetensors" and path.is_file():
        problem = "not a checkpoint"
    with pytest.raises(ConfigError, match=rf"model\.weights={path}: {problem}.*\n  accepted: "):
        TransferModel(THREE, backbone="test_resnet", weights=str(path))
    assert "executed" not in capsys.readouterr().out


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, on a machine without a network."""
    from huggingface_hub import constants

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("trainyard.io.downloads.urlopen", unreachable)
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
def test_missing_weights_without_network_are_rejected(cache: Path, folders: str) -> None:
    (cache / folders).mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError, match=rf"model\.weights=pretrained: .*{cache}.*\n.*PATH"):
        TransferModel(THREE, backbone="resnet18", weights="pretrained")


def test_model_without_pretrained_weights_is_rejected(cache: Path) -> None:
    problem = r"model\.weights=pretrained: timm has no weights for botnet50ts_256\n  accepted: model\.weights=PATH"
    with pytest.raises(ConfigError, match=problem):
        TransferModel(THREE, backbone="botnet50ts_256", weights="pretrained")
