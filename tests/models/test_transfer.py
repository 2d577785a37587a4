"""Transfer models: preprocessing of images, frozen layers, and invalid options."""

import logging
import math
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from torch import Tensor, nn

from trainyard.callbacks.portable_checkpoint import PortableCheckpoint
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.models.transfer import TransferModel
from trainyard.optim.finetune import Finetune
from trainyard.run.load_model import load_model

GREY = DataSpec((1, 8, 8), Classes(tuple("0123456789")), (), (0.3,), (0.4,))
COLOUR = DataSpec((3, 64, 64), Classes(("a", "b", "c")), (), (0.1,) * 3, (0.9,) * 3)


def pictures(count: int, channels: int, size: int) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=draws)


def seen_by(model: TransferModel, images: Tensor) -> Tensor:
    """Return the input of the backbone."""
    seen: list[Tensor] = []
    model.backbone.forward_features = lambda x: seen.append(x) or torch.zeros(len(x), 3)
    model.backbone.forward_head = lambda x, pre_logits: x
    model.features(images)
    return seen[0]


@pytest.mark.parametrize(("backbone", "size"), [("test_resnet", 160), ("test_vit", 160), ("resnet18", 224)])
def test_normalises_and_resizes_as_the_weights_expect(backbone: str, size: int) -> None:
    model = TransferModel(COLOUR, backbone=backbone)
    config = resolve_model_data_config(timm.create_model(backbone))
    assert model.input_size == config["input_size"] == (3, size, size)
    assert model.mode == config["interpolation"]
    images = pictures(2, 3, size)
    transform = create_transform(**{**config, "crop_pct": 1.0})
    oracle = torch.stack([transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
    assert torch.allclose(seen_by(model, images), oracle, atol=1e-5)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])  # bilinear, bicubic
@pytest.mark.parametrize(("size", "wanted"), [(8, 32), (64, 32)])
def test_grey_images_of_any_size_are_expanded_and_resized(backbone: str, size: int, wanted: int) -> None:
    model = TransferModel(
        DataSpec((1, size, size), Classes(("a", "b")), (), (0.3,), (0.4,)), backbone, image_size=wanted
    )
    images = pictures(3, 1, size)
    seen = seen_by(model, images)
    assert seen.shape == (3, 3, wanted, wanted)
    assert torch.equal(seen[:, 0], seen[:, 1])
    assert torch.equal(seen[:, 0], seen[:, 2])
    method = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[model.mode]
    floats = [Image.fromarray(image[0].float().numpy()) for image in images]
    oracle = np.stack([np.asarray(image.resize((wanted, wanted), method)) for image in floats]).clip(0, 255)
    assert torch.allclose((seen[:, 0] * 0.5 + 0.5) * 255, torch.from_numpy(oracle), atol=0.01)


def test_resizing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for size in (32, None):
        model = TransferModel(GREY, "test_resnet", image_size=size)
        model.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        for stage in ("fit", "test"):
            model.setup(stage)
    lines = [record.getMessage() for record in caplog.records if record.name == "trainyard.models.transfer"]
    assert [line.partition("(")[0].split(maxsplit=1)[1] for line in lines] == [
        "1x8x8 become 3x32x32 for the backbone, 16 times the pixels ",
        "1x8x8 become 3x160x160 for the backbone, 400 times the pixels ",
    ]


def test_images_of_the_right_size_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    model = TransferModel(COLOUR, "test_resnet", image_size=64)
    model.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model.setup("fit")
    assert "images " not in caplog.text


def test_frozen_blocks_have_no_dropout() -> None:
    frozen, halves = (
        TransferModel(COLOUR, "test_vit", image_size=32, drop_path=0.9, finetune=plan).train()
        for plan in (None, Finetune([0, 0.5]))
    )
    images = pictures(4, 3, 64)
    assert torch.equal(frozen.features(images), frozen.features(images))
    assert not torch.equal(halves.features(images), halves.features(images))
    assert [block.drop_path1.training for block in halves.backbone.blocks] == [False, False, True, True, True, True]
    assert not any(module.training for module in frozen.backbone.modules())
    assert halves.backbone.blocks[5].drop_path1.drop_prob == pytest.approx(0.9), "rising from the first to the last"
    halves.eval()
    assert torch.equal(halves.features(images), halves.features(images))


# timm draws the classifiers of these families from +-1/sqrt(classes), at which a first loss is far above ln(classes).
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(
    "backbone",
    [
        *("test_efficientnet", "mobilenetv2_035", "mobilenetv3_small_050", "mobilenetv4_conv_small_035"),
        *("mnasnet_small", "fbnetc_100", "tinynet_e", "hardcorenas_a", "test_resnet", "test_vit"),
    ],
)
def test_first_loss_is_log_of_classes(backbone: str, classes: int) -> None:
    torch.manual_seed(0)
    spec = DataSpec((3, 32, 32), Classes(tuple("abcdefghij"[:classes])), (), (0.5,) * 3, (0.25,) * 3)
    model = TransferModel(spec, backbone, image_size=32, finetune=Finetune([0]))
    loss = model.step((pictures(8, 3, 32), torch.arange(8) % classes), "train").detach()
    assert float(loss) == pytest.approx(math.log(classes), rel=0.1)


def test_forward_accepts_features() -> None:
    model = TransferModel(COLOUR, "test_resnet", image_size=32).eval()
    nn.init.normal_(model.head.weight)
    images = pictures(4, 3, 64)
    assert model.features(images).shape == (4, model.head.in_features)
    assert torch.equal(model(model.features(images)), model(images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet81"}, r"model\.backbone=resnet81.*did you mean resnet18"),
        ({"backbone": "test_resnet.in21k"}, r"model\.backbone=test_resnet\.in21k.*\n.*test_resnet\.r160_in1k"),
        ({"backbone": "vgg11", "drop_path": 0.1}, r"model\.drop_path=0\.1: vgg11 has no blocks.*\n.*: 0"),
        ({"backbone": "test_vit", "image_size": 70}, r"model\.image_size=70: test_vit.*divisible.*\n.*another size"),
        ({"backbone": "halonet_h1", "image_size": 64}, r"model\.image_size=64: halonet_h1 does not accept it"),
        ({"backbone": "vgg11", "image_size": 8}, r"model\.image_size=8: vgg11 does not accept it.*too small"),
    ],
)
def test_invalid_backbone_options_are_rejected(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TransferModel(COLOUR, **options)


def test_checkpoint_rebuilds_backbone_options(tmp_path: Path) -> None:
    from timm.layers import DropPath

    model = TransferModel(COLOUR, "test_vit", image_size=32, drop_path=0.3, finetune=Finetune([0])).eval()
    nn.init.normal_(model.head.weight)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", **quiet, callbacks=[PortableCheckpoint()])
    trainer.strategy.connect(model)
    model.trainer = trainer
    trainer.save_checkpoint(tmp_path / "vit.ckpt")
    again = load_model(tmp_path / "vit.ckpt").eval()
    assert torch.equal(again(pictures(4, 3, 64)), model(pictures(4, 3, 64)))
    assert isinstance(again.backbone.blocks[5].drop_path1, DropPath)
    assert isinstance(again.backbone.blocks[0].drop_path1, nn.Identity), "its rate is 0"
