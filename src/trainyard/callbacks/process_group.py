"""The end of a process that trains together with others."""

import atexit

import lightning as L
from torch import distributed


class ProcessGroup(L.Callback):
    """Leaves the process group at exit, which Lightning does for NCCL alone.

    With the threads of the group alive, C++ now and then aborts a process that has done its work.
    """

    registered = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take note, once a process."""
        if distributed.is_available() and distributed.is_initialized() and not ProcessGroup.registered:
            ProcessGroup.registered = True
            atexit.register(leave_group)


def leave_group() -> None:
    """Leave the process group, if it has not been left."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
