"""Differences between the runs in two folders, for `kill_runs.py`."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainyard.run.run_directory import read_result

CHECKPOINT_KEYS = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "metrics")


def run_directories(folder: Path) -> list[Path]:
    """Return the directories of the run, or of the jobs of the sweep, in `folder`."""
    return sorted(file.parent for file in (folder / "outputs").glob("**/config.yaml") if ".hydra" not in file.parts)


def digest(value: Any) -> Any:
    """Return nested values in which tensors are replaced by checksums, and paths by their last part."""
    if isinstance(value, torch.Tensor):
        return hashlib.sha256(value.numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return {Path(key).name if isinstance(key, str) else key: digest(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [digest(part) for part in value]
    return Path(value).name if isinstance(value, str) else value


def read_checkpoint(file: Path) -> Any:
    """Return weights, optimizers, schedules and progress in a checkpoint, with checksums for tensors."""
    checkpoint = torch.load(file, weights_only=True, map_location="cpu")
    return digest({key: checkpoint[key] for key in CHECKPOINT_KEYS if key in checkpoint})


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values of all TensorBoard scalars except those that measure the machine."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("speed/", "memory/"))]
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags}


def read_run(run: Path) -> dict[str, Any]:
    """Return everything in a run that must not depend on kills."""
    return {
        "result.json": {key: value for key, value in read_result(run).items() if key != "seconds"},
        "overrides.yaml": (run / "overrides.yaml").read_text(),
        "metrics.csv": (run / "metrics.csv").read_text(),
        "tensorboard": read_scalars(run),
        "temporary files": [file.name for file in run.rglob("*") if file.suffix in (".draft", ".removed")],
        **{file.name: read_checkpoint(file) for file in (run / "checkpoints").glob("*.ckpt")},
    }


def find_differences(reference: Path, copy: Path) -> list[str]:
    """Return the differences between two folders in which a plan was completed."""
    names = [[str(run.relative_to(folder)) for run in run_directories(folder)] for folder in (reference, copy)]
    if names[0] != names[1]:
        return [f"runs {names[0]} and {names[1]}"]
    found = []
    for name in names[0]:
        expected, actual = read_run(reference / name), read_run(copy / name)
        found += [f"{name}: {key}" for key in {**expected, **actual} if expected.get(key) != actual.get(key)]
    return found
