"""Checkpoints that reach the disk every few seconds, however short the epochs are."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

PAUSE = 10.0  # seconds


class PacedCheckpointIO(TorchCheckpointIO):
    """Keeps a checkpoint that comes soon after the last writing in memory, and writes the newest of each file later.

    A short epoch takes less time than its checkpoints, above all with a large frozen backbone in them. What waits is
    written when the pause is over and a run ends, fails or is interrupted; a killed run loses the last seconds.

    Args:
        pause: seconds between two writings.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self.pause = pause
        self.written = time.monotonic()
        self.waiting: dict[str, dict[str, Any]] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, and all that wait, or have it wait too."""
        if time.monotonic() - self.written < self.pause:
            self.waiting[str(path)] = deep_copied(checkpoint, self.copied)
            return
        self.waiting[str(path)] = checkpoint
        self.write()

    def copied(self, tensor: Tensor) -> Tensor:
        """Return a tensor as it is now, in the memory of the CPU."""
        return tensor.detach().to("cpu", copy=True)

    def write(self) -> None:
        """Write what waits, each file whole or not at all; straight to the disk, Lightning would copy it once more."""
        for path, checkpoint in sorted(
            self.waiting.items(), key=lambda item: item[0]
        ):  # best before last: it may stop between
            draft = Path(f"{path}.{os.getpid()}.draft")
            draft.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.save(checkpoint, draft)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
        self.waiting.clear()
        self.written = time.monotonic()

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Return what a file holds; one that waits is written first."""
        if str(path) in self.waiting:
            self.write()
        return super().load_checkpoint(path, *arguments, **options)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, be it written or waiting."""
        self.waiting.pop(str(path), None)
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Write what waits, and all that is saved later at once; Lightning calls this at the end, whatever it was."""
        self.write()
        self.pause = 0.0  # a spawned process hands its weights back after this


def deep_copied(value: Any, copied: Callable[[Tensor], Tensor]) -> Any:
    """Return a copy of nested dicts, lists and tuples and their tensors; Lightning's takes ten times as long."""
    if isinstance(value, Tensor):
        return copied(value)
    if isinstance(value, dict):
        return type(value)((key, deep_copied(item, copied)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(deep_copied(item, copied) for item in value)
    return value
