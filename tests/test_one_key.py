"""What regularises a large network is one key each."""

from pathlib import Path

import pytest
import torch

from trainyard.config.composition import compose
from trainyard.run.training import train

SHORT = ("data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=16", "model=transfer",
         "model.backbone=test_resnet", "model.weights=none", "model.image_size=32", "finetune=full",
         "trainer.max_epochs=3", "accelerator=cpu", "logger=csv", "callbacks=none")  # fmt: skip


def end_of(folder: Path, *options: str) -> torch.Tensor:
    """The head that a run ends with."""
    train(compose([*SHORT, *options, f"hydra.run.dir={folder}"]))
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]["head.weight"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return end_of(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    "option",
    ["model.label_smoothing=0.1", "augment.mixup=0.2", "augment.cutmix=1", "model.drop_path=0.2", "ema_decay=0.5"],
)
def test_each_is_one_key_and_changes_what_is_learned(tmp_path: Path, plain: torch.Tensor, option: str) -> None:
    head = end_of(tmp_path / "run", option)
    assert head.isfinite().all()
    assert 1e-5 < float((head - plain).abs().max()) < 0.1
