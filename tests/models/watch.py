"""A short run of a transfer model, and a callback that records it."""

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from trainyard.config.composition import compose
from trainyard.run.training import train

# 126 digits, 4 steps an epoch, 16 in all.
SHORT = (
    *("model=transfer", "model.backbone=test_resnet", "model.weights=none", "model.image_size=32"),
    *("data.train_fraction=0.1", "data.batch_size=32", "trainer.max_epochs=4", "accelerator=cpu", "logger=csv"),
    *("+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"),
    "+callbacks.watch._target_=tests.models.watch.Watch",
)
IMAGES = torch.arange(5 * 64, dtype=torch.uint8).view(5, 1, 8, 8) % 17 * 15


def copied(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


class Watch(L.Callback):
    """Records the weights at the start and after each step, and the trained parameters with their rates."""

    def __init__(self) -> None:
        self.start: dict[str, Tensor] = {}
        self.steps: dict[int, dict[str, Any]] = {}

    def on_fit_start(self, trainer: L.Trainer, model: Any) -> None:
        self.start = copied(model.backbone)

    def on_train_batch_start(self, trainer: L.Trainer, model: Any, batch: Any, batch_idx: int) -> None:
        self.now = trainer.global_step

    def on_before_optimizer_step(self, trainer: L.Trainer, model: Any, optimizer: torch.optim.Optimizer) -> None:
        named = list(model.backbone.named_parameters())
        self.steps[self.now] = {
            "rates": {group["name"]: group["lr"] for group in optimizer.param_groups},
            "learns": [name for name, p in named if p.requires_grad],
            "has a gradient": [name for name, p in named if p.grad is not None],
            "trains": [name for name, module in model.backbone.named_modules() if module.training],
        }

    def on_train_batch_end(self, trainer: L.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step > self.now:  # not while batches are accumulated
            self.steps[self.now] |= {"loss": float(outputs["loss"]), "after": copied(model.backbone)}

    def on_fit_end(self, trainer: L.Trainer, model: Any) -> None:
        model.eval()
        with torch.inference_mode():
            notes = {"start": self.start, "steps": self.steps, "logits": model(IMAGES.to(model.device)).cpu()}
        torch.save(notes, Path(trainer.default_root_dir) / f"watch-{trainer.global_rank}.pt")


def watched(folder: Path, *overrides: str) -> dict[str, Any]:
    """Train for a few seconds and return the record of the callback."""
    train(compose([f"hydra.run.dir={folder}", *SHORT, *overrides]))
    return torch.load(folder / "watch-0.pt", weights_only=True)
