"""What a run says of itself: its choices at the start, its scores at the end."""

from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.data.module import DataModule
from trainyard.files import relative
from trainyard.models.classifier import Classifier


def choices(cfg: DictConfig, data: DataModule, model: Classifier, trainer: L.Trainer) -> str:
    """Return the composed choices in a few lines."""
    chosen = cfg.run.choices
    sizes = " / ".join(str(len(part)) for part in data.splits.values())
    shape = "x".join(map(str, data.spec.input_shape))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    size = f"{trained:,} parameters" + (f", {frozen:,} more frozen" if frozen else "")
    device = trainer.strategy.root_device.type + (f" x {trainer.world_size}" if trainer.world_size > 1 else "")
    rate = f"{chosen.optimizer} (lr {cfg.optimizer.get('lr', 'its default')})"
    rows = {
        "model": f"{chosen.model} ({size})",
        "data": f"{chosen.data} ({sizes} for train / val / test; {shape}, {len(data.spec.classes)} classes)",
        "optimizer": f"{rate}, scheduler {chosen.scheduler}, augment {chosen.augment}",
        "trainer": f"{cfg.trainer.max_epochs} epochs on {device}, {cfg.trainer.precision}, seed {cfg.seed}",
        "run": relative(Path(cfg.run.dir)),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def scores(result: dict[str, Any], seconds: float, folder: Path) -> str:
    """Return the table that ends a run."""
    metrics, best = result["metrics"], result["objective"]
    lines = [f"{'':<10} {'loss':>8} {'accuracy':>9}"]
    for stage in ("val", "test") if "test/loss" in metrics else ("val",):
        lines.append(f"{stage:<10} {metrics[f'{stage}/loss']:>8.4f} {metrics[f'{stage}/acc']:>9.4f}")
    lines += [
        f"best epoch {best['epoch']} of {result['epochs']} (by {best['name']}), {seconds:.1f} s",
        f"run        {relative(folder)}",
        f"look       tensorboard --logdir {relative(folder)}",
    ]
    return "\n".join(lines)
