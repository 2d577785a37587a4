"""The checkpoints of jobs that train together, which write no more often than a single run."""

import time
from pathlib import Path

import lightning as L
from torch import Tensor, nn

from trainyard.callbacks.checkpoint_files import PAUSE, PacedCheckpointIO
from trainyard.callbacks.checkpoints import LastCheckpoint


class StackedCheckpointIO(PacedCheckpointIO):
    """Writes as seldom as there are jobs in the stack, and keeps no copies of what never changes.

    Args:
        jobs: of the stack.
        fixed: a network that stays as it is, or `None`.
    """

    def __init__(self, jobs: int, fixed: nn.Module | None = None) -> None:
        super().__init__(PAUSE * jobs)
        self.fixed = {tensor.data_ptr() for tensor in fixed.state_dict().values()} if fixed else frozenset[int]()

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() - self.last_write >= self.pause

    def copy_tensor(self, tensor: Tensor) -> Tensor:
        """Return a tensor as it is now."""
        return tensor if tensor.data_ptr() in self.fixed else super().copy_tensor(tensor)


class LateLastCheckpoint(LastCheckpoint):
    """Makes `last.ckpt` of the last epoch of all, and of those at whose end it is time to write.

    Args:
        folder: where it goes.
        io: which knows when it is time.

    Attributes:
        due: set at the last epoch.
    """

    def __init__(self, folder: Path, io: StackedCheckpointIO) -> None:
        super().__init__(folder)
        self.io = io
        self.due = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, when it is time; else note the name that the last one has, as if it had been saved."""
        if self.due or self.io.due:
            super().on_train_epoch_end(trainer, pl_module)
        else:
            self.best_model_path = str(Path(str(self.dirpath)) / "last.ckpt")
