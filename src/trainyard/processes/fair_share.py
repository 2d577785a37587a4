"""What makes several processes learn what one would: each example counts the same, and each has draws of its own."""

import os
from typing import Any

import torch
from lightning.fabric.utilities.distributed import _get_default_process_group_backend_for_device
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor

from trainyard.data.loading.sampler import ResumableBatchSampler, derive_generator
from trainyard.processes.torchrun import join_again


class FairShare(ParallelStrategy):
    """A part of a strategy that averages the gradients of the processes."""

    weight = 1.0

    def setup_environment(self) -> None:
        """Meet the other processes."""
        if not torch.distributed.is_initialized():
            join_again(_get_default_process_group_backend_for_device(self.root_device))
        super().setup_environment()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Weigh this process's share of a batch, and give it draws of its own.

        The last batch of an epoch may give one process more examples than another; the mean of their means would be
        that of a few examples twice. And all begin with the draws of the first, so their dropout would be the same;
        those of the others are a pure function of (seed, epoch, batch, rank), those of the first as of one process.
        """
        super().on_train_batch_start(batch, batch_idx)
        assert self.lightning_module is not None
        trainer = self.lightning_module.trainer
        order = getattr(trainer.train_dataloader, "sampler", None)
        self.weight = share(order, len(batch[1]), batch_idx) if isinstance(order, ResumableBatchSampler) else 1.0
        if self.global_rank:
            seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
            torch.manual_seed(derive_generator(seed, trainer.current_epoch, batch_idx, self.global_rank).initial_seed())

    def pre_backward(self, closure_loss: Tensor) -> None:
        """Weigh the gradients of this process."""
        super().pre_backward(closure_loss)
        if self.weight != 1.0:
            closure_loss.mul_(self.weight)


def share(order: ResumableBatchSampler, examples: int, batch: int) -> float:
    """Return how many examples this process has of a batch, in those that each would have if all had equally many."""
    everywhere = min(order.global_batch, order.size - batch * order.global_batch)
    return examples * order.world_size / everywhere
