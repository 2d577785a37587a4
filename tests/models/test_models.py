"""Networks have the layers that a config asks for, and the base counts losses and hits as an oracle does."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics.functional import accuracy

from trainyard.data.spec import Column, DataSpec
from trainyard.errors import ConfigError
from trainyard.models.activations import ACTIVATIONS
from trainyard.models.cnn import CNN
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.mlp import MLP
from trainyard.models.normalize import Normalize, input_layer
from trainyard.models.transfer import TransferModel

ROWS = DataSpec((4,), ("a", "b", "c"), tuple(map(Column, "wxyz")), (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 1.0, 2.0))
IMAGES = DataSpec((1, 8, 8), tuple("0123456789"), (), (0.3,), (0.4,))
COLOUR = DataSpec((3, 64, 64), ("a", "b", "c"), (), (0.5,) * 3, (0.25,) * 3)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_first_courses_network_has_its_weights_and_biases() -> None:
    model = MLP(ROWS, hidden_dims=[5, 5])
    assert parameters(model) == (4 * 5 + 5) + (5 * 5 + 5) + (5 * 3 + 3)
    assert model(torch.rand(7, 4)).shape == (7, 3)


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    model = MLP(ROWS, hidden_dims=[])
    x = torch.rand(3, 4)
    assert torch.allclose(model(x), model.net[1](model.normalize(x)))


def test_an_mlp_flattens_images() -> None:
    assert MLP(IMAGES, hidden_dims=[16])(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_is_built(name: str) -> None:
    assert isinstance(MLP(ROWS, hidden_dims=[5], activation=name).net[2], ACTIVATIONS[name])


def test_a_cnns_blocks_halve_the_image() -> None:
    model = CNN(COLOUR, channels=[8, 16], hidden_dims=[32], dropout=0.1)
    maps = model.blocks(torch.rand(2, 3, 64, 64))
    assert maps.shape == (2, 16, 16, 16)
    kinds = [type(layer) for layer in model.blocks[0]]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Dropout2d]
    assert model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 3)


def test_whole_feature_maps_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    model = CNN(COLOUR, channels=[64], dropout=0.5)
    block = model.blocks[0].train()
    maps = block(torch.rand(1, 3, 64, 64))[0]
    dropped = (maps == 0).all(dim=(1, 2))
    assert 15 < int(dropped.sum()) < 49
    silent = (model.eval().blocks[0](torch.rand(1, 3, 64, 64))[0] == 0).all(dim=(1, 2))
    assert int(silent.sum()) < 5, "a kernel or two may answer with nothing but negative numbers"


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_any_odd_kernel_keeps_the_size(kernel_size: int) -> None:
    assert CNN(IMAGES, channels=[4], kernel_size=kernel_size).blocks(torch.rand(1, 1, 8, 8)).shape == (1, 4, 4, 4)


def test_too_many_blocks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.channels=\[1, 1, 1, 1\].*\n.*1 to 3 numbers.*8x8"):
        CNN(IMAGES, channels=[1, 1, 1, 1])


def test_normalize_is_the_textbooks() -> None:
    images = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    expected = (images / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(Normalize(mean.tolist(), std.tolist())(images), expected, atol=1e-6)
    rows = torch.rand(6, 4)
    expected = (rows - torch.tensor(ROWS.mean)) / torch.tensor(ROWS.std)
    assert torch.allclose(input_layer(ROWS)(rows), expected, atol=1e-6)


def test_epoch_sums_agree_with_torchmetrics_over_uneven_batches() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(50, 3), torch.randint(0, 3, (50,))
    sums = EpochSums.empty(torch.device("cpu"))
    for part, labels in zip(logits.split(16), y.split(16), strict=True):
        sums.add(F.cross_entropy(part, labels, reduction="sum"), part, labels)
    loss, hits, count = sums.stacked().tolist()
    assert loss / count == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-5)
    assert hits / count == pytest.approx(float(accuracy(logits, y, "multiclass", num_classes=3)))


def test_label_smoothing_is_for_training_alone() -> None:
    plain, smooth = (MLP(ROWS, hidden_dims=[], label_smoothing=value) for value in (0.0, 0.2))
    smooth.load_state_dict(plain.state_dict())
    batch = torch.rand(6, 4), torch.arange(6) % 3
    expected = F.cross_entropy(plain(batch[0]), batch[1], label_smoothing=0.2)
    assert smooth.step(batch, "train").item() == pytest.approx(expected.item(), rel=1e-6)
    assert smooth.step(batch, "val").item() == pytest.approx(plain.step(batch, "val").item(), rel=1e-6)


@pytest.fixture(scope="module")
def transfer() -> TransferModel:
    return TransferModel(IMAGES, backbone="test_resnet", weights="none", image_size=32)


def test_only_the_head_learns(transfer: TransferModel) -> None:
    trainable = {name for name, p in transfer.named_parameters() if p.requires_grad}
    assert trainable == {f"net.{name}" for name, _ in transfer.net.named_parameters() if name.startswith("fc.")}
    transfer.train()
    frozen = {name: value.clone() for name, value in transfer.net.state_dict().items() if not name.startswith("fc.")}
    optimizer = torch.optim.SGD([p for p in transfer.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        transfer.step((torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8), torch.arange(8)), "train").backward()
        optimizer.step()
    after = transfer.net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in frozen.items())


def test_normalisation_and_size_follow_the_weights() -> None:
    model = TransferModel(IMAGES, backbone="test_resnet", weights="none")
    config = timm.get_pretrained_cfg("test_resnet")
    assert tuple(model.image_size) == tuple(config.input_size[1:])
    assert model.normalize.shift.flatten().tolist() == pytest.approx(
        [-m / s for m, s in zip(config.mean, config.std, strict=True)], rel=1e-5
    )


def test_an_unknown_backbone_brings_near_names() -> None:
    with pytest.raises(ConfigError, match=r"model\.backbone=resnet81.*did you mean resnet18"):
        TransferModel(IMAGES, backbone="resnet81")


def test_weights_come_from_a_file(transfer: TransferModel, tmp_path: pytest.TempPathFactory) -> None:
    from safetensors.torch import save_file

    state = {name: torch.randn_like(value) for name, value in transfer.net.state_dict().items() if value.ndim > 0}
    torch.save({"state_dict": {f"net.{name}": value for name, value in state.items()}}, tmp_path / "ours.ckpt")
    save_file(state, tmp_path / "timm.safetensors")
    torch.save(state, tmp_path / "plain.pth")
    for name in ("ours.ckpt", "timm.safetensors", "plain.pth"):
        model = TransferModel(COLOUR, backbone="test_resnet", weights=str(tmp_path / name), image_size=32)
        assert torch.equal(model.net.conv1[0].weight, state["conv1.0.weight"])
        assert model.net.fc.out_features == 3, "a head for other classes stays out"


class Payload:
    """Runs code when it is unpickled without care."""

    def __reduce__(self) -> tuple:
        return (print, ("executed",))


@pytest.mark.parametrize("kind", ["missing", "noise", "empty", "payload", "no tensors", "other network"])
def test_bad_weights_are_named(tmp_path: pytest.TempPathFactory, capsys: pytest.CaptureFixture, kind: str) -> None:
    path = tmp_path / "weights.pt"
    if kind == "noise":
        path.write_bytes(bytes(range(256)) * 8)
    elif kind == "empty":
        path.touch()
    elif kind == "payload":
        torch.save({"state_dict": Payload()}, path)
    elif kind == "no tensors":
        torch.save({"epoch": 3}, path)
    elif kind == "other network":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ConfigError, match=rf"model\.weights={path}: .*\n  accepted: "):
        TransferModel(IMAGES, backbone="test_resnet", weights=str(path))
    assert "executed" not in capsys.readouterr().out


def test_pretrained_without_a_network_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from huggingface_hub import constants

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("trainyard.network.urlopen", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=rf"model\.weights=pretrained: .*{tmp_path}.*\n.*PATH"):
        TransferModel(IMAGES, backbone="resnet18", weights="pretrained")
