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
from torch.nn.parameter import is_lazy

from trainyard.callbacks.progress_bar import select_scores
from trainyard.config.config_folders import searched
from trainyard.config.objective import metric_name, split_stage
from trainyard.config.target_packages import foreign_packages
from trainyard.data.loading.spec import ReportsData
from trainyard.io.files import relative
from trainyard.run.run_directory import RESULT, read_config
from trainyard.run.run_length import format_length
from trainyard.terminal.formats import describe_prediction, format_baseline, format_score, sparkline
from trainyard.terminal.invocation import train_command

SCALE = "loss: log scale"
MIN_LOSS = 1e-6  # on the log scale
NUMBERS = 39  # columns beside a learning curve with a name of at most 10 characters
MAX_COLUMNS, MAX_CURVES = 6, 3


def format_choices(cfg: DictConfig, data: L.LightningDataModule, model: L.LightningModule, trainer: L.Trainer) -> str:
    """Return the composed choices in a few lines."""
    chosen = cfg.run.choices
    known = [p for p in model.parameters() if not is_lazy(p)]
    trained = sum(p.numel() for p in known if p.requires_grad)
    frozen = sum(p.numel() for p in known if not p.requires_grad)
    size = f"{trained:,} parameters" + (f", {frozen:,} more frozen" if frozen else "")
    if len(known) < len([*model.parameters()]):
        size += ", others after the first batch"
    device = trainer.strategy.root_device.type + (f" x {trainer.world_size}" if trainer.world_size > 1 else "")
    rows = {
        "model": f"{chosen.model} ({size})",
        "data": chosen.data + (f" ({data.summary()})" if isinstance(data, ReportsData) else ""),
        "optimizer": describe_optimizer(cfg),
        "trainer": f"{format_length(cfg)} on {device}, {cfg.trainer.precision}, seed {cfg.seed}",
        "run": relative(Path(cfg.run.dir)),
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def describe_optimizer(cfg: DictConfig) -> str:
    """Return the options of the optimizer and of what belongs to it, as far as model and data accept them."""
    chosen = cfg.run.choices
    text = "defined by the model"
    if cfg.optimizer is not None:
        text = f"{chosen.optimizer} (lr {cfg.optimizer.get('lr', 'its default')})"
    groups = [name for name in ("scheduler", "augment") if cfg[name] is not None]
    return ", ".join([text, *(f"{name} {chosen[name]}" for name in groups)])


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
    elsewhere = [conf for conf in searched if names and conf.parent != Path.cwd()]
    words += ["--config-dir", relative(elsewhere[0])] if elsewhere else []
    path = os.environ.get("PYTHONPATH", "") if names else ""
    return f"{f'PYTHONPATH={shlex.quote(path)} ' if path else ''}{train_command(*words)}"


def format_scores(
    result: dict[str, Any],
    seconds: float,
    folder: Path,
    curves: Mapping[str, Sequence[float]],
    modes: Mapping[str, str],
) -> str:
    """Return the end of a run's output: scores, learning curves and folder, at most twelve lines.

    Args:
        curves: values by epoch, by name.
        modes: `min` or `max` by the name of a metric without its stage, as far as it is known.
    """
    best = result["objective"]
    lines = [
        *format_metrics(result["metrics"], result.get("baseline", {}), best["name"]),
        f"best epoch {best['epoch']} of {result['epochs']} (by {best['name']}), {seconds:.1f} s",
        *format_curves(curves, shutil.get_terminal_size().columns, best["name"], modes),
        f"run        {relative(folder)}",
    ]
    if (folder / "tensorboard").is_dir():
        lines.append(f"view       tensorboard --logdir {relative(folder)}")
    elif (folder / "metrics.csv").is_file():
        lines.append(f"view       {relative(folder / 'metrics.csv')}")
    return "\n".join(lines)


def format_metrics(metrics: Mapping[str, float], baseline: Mapping[str, Any], objective: str) -> list[str]:
    """Return a table of the metrics, with a row for validation and one for test, losses first."""
    cells: dict[tuple[str, str], str] = {}  # the names of the metrics, by stage and column
    for name in sorted(metrics, key=lambda name: (name != objective, name)):
        stage, metric = split_stage(name)
        cells["test" if stage == "test" else "val", metric.replace("/dataloader_idx_", "/")] = name
    columns = sorted(dict.fromkeys(column for _, column in cells), key=lambda column: "loss" not in column)
    shown = columns[:MAX_COLUMNS]
    widths = [max(8 + (place > 0), len(column)) for place, column in enumerate(shown)]
    lines = [" ".join([f"{'':<10}", *(f"{column:>{width}}" for column, width in zip(shown, widths, strict=True))])]
    for stage in dict.fromkeys(stage for stage in ("val", "test") if any(stage == row for row, _ in cells)):
        names = [cells.get((stage, column)) for column in shown]
        numbers = ["" if name is None else format_score(metrics[name]) for name in names]
        texts = (f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
        known = [name for name in names if name and isinstance(baseline.get(name), float)]
        single = format_baseline(baseline, known[0]) if len(known) == 1 else ""
        lines.append((" ".join([f"{stage:<10}", *texts]) + single).rstrip())
        if len(known) > 1:
            numbers = [format_score(baseline[name]) if name in known else "" for name in names]
            texts = (f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
            lines.append(" ".join(["  baseline", *texts]) + f" ({describe_prediction(baseline)})")
    return [
        *lines,
        *([f"{len(columns) - len(shown)} more metrics are in {RESULT}"] if len(columns) > len(shown) else []),
    ]


def format_curves(
    curves: Mapping[str, Sequence[float]], columns: int, objective: str, modes: Mapping[str, str]
) -> list[str]:
    """Return one line per curve with its first, last and best value, below a header; nothing for a single epoch.

    The curves are those of losses, of the objective in validation and training, and of other validation scores, at most
    three.
    """
    ordered = [name for name in select_scores([*curves], objective) if len(curves[name]) > 1]
    losses = [name for name in ordered if "loss" in name]
    same = [name for name in ordered if metric_name(name) == metric_name(objective)]
    others = [name for name in ordered if name.startswith("val")]
    chosen = list(dict.fromkeys([*losses[:2], objective, *same, *others]))[:MAX_CURVES]
    names = [name for name in ordered if name in chosen]
    label = max([10, *map(len, names)])
    space, lines = max(len(SCALE), min(40, columns - NUMBERS - 1 - label + 10)), []
    for name in names:
        values = np.array(curves[name])
        is_loss = "loss" in name and values.min() >= 0
        line = sparkline(np.log(values.clip(MIN_LOSS)) if is_loss else values, space)
        mode = modes.get(metric_name(name))
        best = "" if mode is None else format_score(values.min() if mode == "min" else values.max())
        first, last = format_score(values[0]), format_score(values[-1])
        lines.append(f"{name:<{label}} {first:>8}  {line:<{len(SCALE)}} {last:>8} {best:>8}")
    width = max(map(len, lines), default=0) - NUMBERS - label + 10
    return [f"{'':<{label}} {'first':>8}  {SCALE:<{width}} {'last':>8} {'best':>8}", *lines] if lines else []
