"""The output of a run: its choices at the start, its scores and folder at the end."""

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from omegaconf import DictConfig

from trainyard.config.composition import objective_mode
from trainyard.config.trusted import foreign_packages
from trainyard.data.loading.datamodule import DataModule
from trainyard.io.files import relative
from trainyard.run.run_directory import read_config
from trainyard.run.run_length import format_length
from trainyard.terminal.formats import format_baseline, sparkline
from trainyard.terminal.invocation import train_command

SCALE = "loss: log scale"
MIN_LOSS = 1e-6  # on the log scale
NUMBERS = 39  # columns beside a learning curve


def format_choices(cfg: DictConfig, data: DataModule, model: L.LightningModule, trainer: L.Trainer) -> str:
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
        "trainer": f"{format_length(cfg)} on {device}, {cfg.trainer.precision}, seed {cfg.seed}",
        "run": relative(Path(cfg.run.dir)),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def describe_partial_results(folder: Path) -> str:
    """Return where the results of an unfinished run are, and the command that resumes it (a sweep repeats its own)."""
    text = f"partial results are in {relative(folder)}"
    if folder.parent.name == "runs" and (folder / "checkpoints" / "last.ckpt").is_file():
        text += f"\nresume with: {resume_command(folder)}"
    return text


def resume_command(folder: Path) -> str:
    """Return the command that resumes a run in outputs/runs, for this shell."""
    names = foreign_packages(read_config(folder))
    words = [f"resume={folder.name}", *(word for name in names for word in ("--trusted-packages", name))]
    path = os.environ.get("PYTHONPATH", "") if names else ""
    return f"{f'PYTHONPATH={shlex.quote(path)} ' if path else ''}{train_command(*words)}"


def format_scores(result: dict[str, Any], seconds: float, folder: Path, curves: Mapping[str, Sequence[float]]) -> str:
    """Return the end of a run's output: scores, learning curves (values by epoch) and folder, at most twelve lines."""
    metrics, best = result["metrics"], result["objective"]
    lines = [f"{'':<10} {'loss':>8} {'accuracy':>9}"]
    for stage in ("val", "test") if "test/loss" in metrics else ("val",):
        baseline = format_baseline(result.get("baseline", {}), f"{stage}/acc")
        lines.append(f"{stage:<10} {metrics[f'{stage}/loss']:>8.4f} {metrics[f'{stage}/acc']:>9.4f}{baseline}")
    lines += [
        f"best epoch {best['epoch']} of {result['epochs']} (by {best['name']}), {seconds:.1f} s",
        *format_curves(curves, shutil.get_terminal_size().columns),
        f"run        {relative(folder)}",
    ]
    if (folder / "tensorboard").is_dir():
        lines.append(f"view       tensorboard --logdir {relative(folder)}")
    elif (folder / "metrics.csv").is_file():
        lines.append(f"view       {relative(folder / 'metrics.csv')}")
    return "\n".join(lines)


def format_curves(curves: Mapping[str, Sequence[float]], columns: int) -> list[str]:
    """Return one line per curve with its first, last and best value, below a header; nothing for a single epoch."""
    space, lines = max(len(SCALE), min(40, columns - NUMBERS - 1)), []
    for name in ("train/loss", "val/loss", "val/acc"):
        values = np.array(curves.get(name, ()))
        if len(values) > 1:
            is_loss = objective_mode(name) == "min"
            line = sparkline(np.log(values.clip(MIN_LOSS)) if is_loss else values, space)
            best = values.min() if is_loss else values.max()
            lines.append(f"{name:<10} {values[0]:>8.4f}  {line:<{len(SCALE)}} {values[-1]:>8.4f} {best:>8.4f}")
    width = max(map(len, lines), default=0) - NUMBERS
    return [f"{'':<10} {'first':>8}  {SCALE:<{width}} {'last':>8} {'best':>8}", *lines] if lines else []
