"""What a run says of itself: its choices at the start, its scores at the end, and where it lies."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from omegaconf import DictConfig

from trainyard.config import objective_mode
from trainyard.data.loading.datamodule import DataModule
from trainyard.files import relative
from trainyard.models.classifier import Classifier
from trainyard.resume import resume_command
from trainyard.run_length import length_text
from trainyard.terminal.baseline import beside_baseline
from trainyard.terminal.sparkline import sparkline

SCALE = "loss: log scale"
TINY = 1e-6  # a loss that counts as none
NUMBERS = 39  # columns of the learning curve beside the curve itself


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
        "trainer": f"{length_text(cfg)} on {device}, {cfg.trainer.precision}, seed {cfg.seed}",
        "run": relative(Path(cfg.run.dir)),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def whereabouts(folder: Path) -> str:
    """Return where a run lies that has not come to its end, and how it goes on where that is another command."""
    place = relative(folder)
    goes_on = folder.parent.name == "runs" and (folder / "checkpoints" / "last.ckpt").is_file()
    how = f"\nresume with: {resume_command(folder)}" if goes_on else ""
    return f"partial results are in {place}{how}"


def scores(result: dict[str, Any], seconds: float, folder: Path, curves: Mapping[str, Sequence[float]]) -> str:
    """Return what ends a run: the table, the learning curve, and where to look next; twelve lines at most.

    Args:
        result: as `result.json` will have it.
        seconds: that the run took.
        folder: of the run.
        curves: of each score, its values by epoch.
    """
    metrics, best = result["metrics"], result["objective"]
    lines = [f"{'':<10} {'loss':>8} {'accuracy':>9}"]
    for stage in ("val", "test") if "test/loss" in metrics else ("val",):
        baseline = beside_baseline(result.get("baseline", {}), f"{stage}/acc")
        lines.append(f"{stage:<10} {metrics[f'{stage}/loss']:>8.4f} {metrics[f'{stage}/acc']:>9.4f}{baseline}")
    lines += [
        f"best epoch {best['epoch']} of {result['epochs']} (by {best['name']}), {seconds:.1f} s",
        *learning_curve(curves, shutil.get_terminal_size().columns, sys.stdout.encoding),
        f"run        {relative(folder)}",
    ]
    if (folder / "tensorboard").is_dir():
        lines.append(f"look       tensorboard --logdir {relative(folder)}")
    elif (folder / "metrics.csv").is_file():
        lines.append(f"look       {relative(folder / 'metrics.csv')}")
    return "\n".join(lines)


def learning_curve(curves: Mapping[str, Sequence[float]], columns: int, encoding: str | None) -> list[str]:
    """Return a line for each curve, with its first, last and best value; nothing for a single epoch.

    Args:
        curves: of each score, its values by epoch.
        columns: of the screen.
        encoding: of the screen.
    """
    space, lines = max(len(SCALE), min(40, columns - NUMBERS - 1)), []
    for name in ("train/loss", "val/loss", "val/acc"):
        values = np.array(curves.get(name, ()))
        if len(values) > 1:
            least = objective_mode(name) == "min"
            line = sparkline(np.log(values.clip(TINY)) if least else values, space, encoding)
            best = values.min() if least else values.max()
            lines.append(f"{name:<10} {values[0]:>8.4f}  {line:<{len(SCALE)}} {values[-1]:>8.4f} {best:>8.4f}")
    width = max(map(len, lines), default=0) - NUMBERS
    return [f"{'':<10} {'first':>8}  {SCALE:<{width}} {'last':>8} {'best':>8}", *lines] if lines else []
