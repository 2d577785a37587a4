"""Checkpoints of stacked jobs, which together write as often as a single run."""

import time
from pathlib import Path

import lightning as L
from torch import Tensor, nn

from trainyard.callbacks.checkpoint_files import PAUSE, PacedCheckpointIO
from trainyard.callbacks.checkpoints import LastCheckpoint


class StackedCheckpointIO(PacedCheckpointIO):
    """Waits longer between two writes, and does not copy a frozen network.

    Args:
        jobs: number of jobs in the stack.
        frozen: a network that never changes, or `None`.
    """

    def __init__(self, jobs: int, frozen: nn.Module | None = None) -> None:
        super().__init__(PAUSE * jobs)
        self.frozen = {tensor.data_ptr() for tensor in frozen.state_dict().values()} if frozen else frozenset[int]()

    @property
    def due(self) -> bool:
        """Whether to write with the next checkpoint."""
        return time.monotonic() - self.last_write >= self.pause

    def copy_tensor(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor, or a frozen tensor itself."""
        return tensor if tensor.data_ptr() in self.frozen else super().copy_tensor(tensor)


class StackedLastCheckpoint(LastCheckpoint):
    """Saves `last.ckpt` only if it is written soon, and after the last epoch.

    Attributes:
        is_last_epoch: set before the last epoch ends.
    """

    def __init__(self, folder: Path, io: StackedCheckpointIO) -> None:
        super().__init__(folder)
        self.io = io
        self.is_last_epoch = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if it is due; otherwise only set the path, as saving does."""
        if self.is_last_epoch or self.io.due:
            super().on_train_epoch_end(trainer, pl_module)
        else:
            self.best_model_path = self.path
