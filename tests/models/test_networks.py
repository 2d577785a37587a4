"""Networks have the configured layers, and the base class computes loss and accuracy like torchmetrics."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics.functional import accuracy

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.models.cnn import CNN
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.input_layers import Normalize, input_layer
from trainyard.models.mlp import ACTIVATIONS, MLP
from trainyard.tasks.classification import Classification

ROWS = DataSpec((4,), Classes(("a", "b", "c")), tuple(map(Column, "wxyz")), (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 1.0, 2.0))
IMAGES = DataSpec((1, 8, 8), Classes(tuple("0123456789")), (), (0.3,), (0.4,))
COLOUR = DataSpec((3, 64, 64), Classes(("a", "b", "c")), (), (0.5,) * 3, (0.25,) * 3)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_number_of_mlp_parameters() -> None:
    model = MLP(ROWS, hidden_dims=[5, 5])
    assert parameters(model) == (4 * 5 + 5) + (5 * 5 + 5) + (5 * 3 + 3)
    assert model(torch.rand(7, 4)).shape == (7, 3)


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    model = MLP(ROWS, hidden_dims=[])
    x = torch.rand(3, 4)
    assert torch.allclose(model(x), model.net[1](model.normalize(x)))


def test_lightning_sets_current_fx_name() -> None:
    model = MLP(ROWS, hidden_dims=[5])
    assert "_current_fx_name" in vars(model), "SupervisedModel.__setattr__ need not handle it any more"


def test_an_mlp_flattens_images() -> None:
    assert MLP(IMAGES, hidden_dims=[16])(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).shape == (2, 10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_is_built(name: str) -> None:
    assert isinstance(MLP(ROWS, hidden_dims=[5], activation=name).net[2], ACTIVATIONS[name])


def test_cnn_blocks_halve_the_image() -> None:
    model = CNN(COLOUR, channels=[8, 16], hidden_dims=[32], dropout=0.1)
    maps = model.blocks(torch.rand(2, 3, 64, 64))
    assert maps.shape == (2, 16, 16, 16)
    kinds = [type(layer) for layer in model.blocks[0]]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Dropout2d]
    assert model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (
            (1, 9),
            "images of 1x9 pixels cannot be halved, as each block does\n  accepted: another model, such as ",
        ),
        ((3, 3), "each block halves the image\n  accepted: 1 number for images of 3x3 pixels"),
        ((5, 3), "each block halves the image\n  accepted: 1 number for images of 5x3 pixels"),
        (
            (4, 5),
            "each block halves the image\n  accepted: 1 to 2 numbers for images of 4x5",
        ),
    ],
)
def test_too_small_images_are_rejected(size: tuple[int, int], said: str) -> None:
    spec = DataSpec((1, *size), Classes(("a", "b")), (), (0.5,), (0.25,))
    with pytest.raises(ConfigError) as stopped:
        CNN(spec, channels=[8, 16, 32])
    assert str(stopped.value).partition(": ")[2].startswith(said)


def test_images_that_are_not_square() -> None:
    assert CNN(DataSpec((1, 32, 48), Classes(("a", "b")), (), (0.5,), (0.25,)), channels=[8])(
        torch.zeros(2, 1, 32, 48)
    ).shape == (2, 2)


def test_dropout_of_feature_maps_in_training() -> None:
    torch.manual_seed(0)
    model = CNN(COLOUR, channels=[64], dropout=0.5)
    block = model.blocks[0].train()
    maps = block(torch.rand(1, 3, 64, 64))[0]
    dropped = (maps == 0).all(dim=(1, 2))
    assert 15 < int(dropped.sum()) < 49
    silent = (model.eval().blocks[0](torch.rand(1, 3, 64, 64))[0] == 0).all(dim=(1, 2))
    assert int(silent.sum()) < 5, "one or two kernels may have only negative outputs"


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_any_odd_kernel_keeps_the_size(kernel_size: int) -> None:
    assert CNN(IMAGES, channels=[4], kernel_size=kernel_size).blocks(torch.rand(1, 1, 8, 8)).shape == (1, 4, 4, 4)


def test_too_many_blocks_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"model\.channels=\[1, 1, 1, 1\].*\n.*1 to 3 numbers.*8x8"):
        CNN(IMAGES, channels=[1, 1, 1, 1])


def test_normalize_formula() -> None:
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
    sums = EpochSums.empty(Classification(Classes(("a", "b", "c"))).totals, torch.device("cpu"))
    for part, labels in zip(logits.split(16), y.split(16), strict=True):
        sums.add(F.cross_entropy(part, labels, reduction="sum"), part, labels)
    loss, count, correct = sums.stacked().tolist()
    assert loss / count == pytest.approx(float(F.cross_entropy(logits, y)), rel=1e-5)
    assert correct / count == pytest.approx(float(accuracy(logits, y, "multiclass", num_classes=3)))


def test_epoch_sums_of_checkpoints_that_count_only_correct_classes() -> None:
    totals = Classification(Classes(("a", "b", "c"))).totals
    before = {"loss": torch.tensor(5.0), "correct": torch.tensor(3.0), "examples": 4, "losses": []}
    sums = EpochSums.from_state_dict(totals, before, torch.device("cpu"))
    sums.add(torch.tensor(1.0), torch.eye(3), torch.tensor([0, 1, 0]))
    assert sums.stacked().tolist() == [6.0, 7.0, 5.0]


def test_label_smoothing_only_in_training() -> None:
    plain, smooth = (MLP(ROWS, hidden_dims=[], label_smoothing=value) for value in (0.0, 0.2))
    smooth.load_state_dict(plain.state_dict())
    batch = torch.rand(6, 4), torch.arange(6) % 3
    expected = F.cross_entropy(plain(batch[0]), batch[1], label_smoothing=0.2)
    assert smooth.step(batch, "train").item() == pytest.approx(expected.item(), rel=1e-6)
    assert smooth.step(batch, "val").item() == pytest.approx(plain.step(batch, "val").item(), rel=1e-6)


def test_constructor_arguments_of_subclasses_are_stored_if_they_are_primitives() -> None:
    class Own(MLP):
        def __init__(self, spec: DataSpec, last: nn.Module, scale: float = 2.0, **options: Any) -> None:
            super().__init__(spec, **options)

    with pytest.warns(UserWarning, match="'last' is an instance of `nn.Module`"):
        model = Own(ROWS, nn.ReLU(), hidden_dims=[5], optimizer=torch.optim.Adam)
    expected = {"spec": ROWS.to_dict(), "scale": 2.0, "hidden_dims": [5], "activation": "relu", "dropout": 0.0}
    assert dict(model.hparams) == {**expected, "label_smoothing": 0.0, "task": None}
