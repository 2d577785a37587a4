"""Strategies for several processes: copies of the model (DDP), or parameters split among the processes (FSDP)."""

import atexit
import os
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    StateDictType,
)
from torch.distributed.fsdp.fully_sharded_data_parallel import OptimStateKeyType
from torch.optim import Optimizer

from trainyard.data.loading.sampler import ResumableBatchSampler, derive_generator
from trainyard.run.distributed.torchrun import join_after_restart


class WeightedGradients(ParallelStrategy):
    """Averages gradients so that each example counts the same, and gives each process its own random numbers."""

    weight = 1.0

    def setup_environment(self) -> None:
        """Join the process group, and destroy it at exit, as Lightning does for NCCL only.

        Otherwise the threads of the group sometimes abort a process that has finished.
        """
        if not torch.distributed.is_initialized():
            atexit.register(destroy_group)
            join_after_restart(torch.distributed.get_default_backend_for_device(self.root_device))
        super().setup_environment()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Compute the weight of this process's part of the batch, and seed its random numbers.

        In the last batch of an epoch, one process may have more examples than another: the mean of the processes' mean
        gradients would then differ from the mean over all examples. All processes start with the random state of rank
        0, so dropout would be the same in all; other ranks are seeded with (seed, epoch, batch, rank).
        """
        super().on_train_batch_start(batch, batch_idx)
        assert self.lightning_module is not None
        trainer = self.lightning_module.trainer
        order = getattr(trainer.train_dataloader, "sampler", None)
        self.weight = (
            gradient_weight(order, len(batch[1]), batch_idx) if isinstance(order, ResumableBatchSampler) else 1.0
        )
        if self.global_rank:
            seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
            torch.manual_seed(derive_generator(seed, trainer.current_epoch, batch_idx, self.global_rank).initial_seed())

    def pre_backward(self, closure_loss: Tensor) -> None:
        """Weight the gradients of this process."""
        super().pre_backward(closure_loss)
        if self.weight != 1.0:
            closure_loss.mul_(self.weight)


def destroy_group() -> None:
    """Destroy the process group, unless it is already destroyed."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def gradient_weight(order: ResumableBatchSampler, examples: int, batch: int) -> float:
    """Return the number of examples this process has in a batch, relative to the mean over all processes."""
    total = min(order.global_batch, order.size - batch * order.global_batch)
    return examples * order.world_size / total


class DDP(WeightedGradients, DDPStrategy):
    """Each process has a copy of the model and its part of each batch; gradients are averaged.

    Args:
        start_method: ignored; configs of earlier versions contain it.
        options: of Lightning's `DDPStrategy`.
    """

    def __init__(self, start_method: str = "popen", **options: Any) -> None:
        super().__init__(start_method="popen", **options)  # `trainyard.run.distributed.launch` starts the processes


class FSDP(WeightedGradients, FSDPStrategy):
    """Each process has a part of the parameters and of each batch.

    On CPUs, torch needs the device to be given, and state dicts must not be offloaded: that would free them.
    """

    wrapped: Any = None

    @property
    def on_cpu(self) -> bool:
        """Whether the processes run on CPUs."""
        return self.root_device.type == "cpu"

    # Lightning has no public hook between the model and its wrapper; `tests/distributed/test_sharded.py` covers it.
    def _setup_model(self, model: nn.Module) -> nn.Module:
        if self.wrapped is None or self.wrapped.module is not model:  # a test after a fit must not wrap it again
            for parameter in model.parameters():
                parameter.whole_ndim = parameter.ndim  # type: ignore[attr-defined]  # see `param_groups`
            if self.on_cpu:
                model = FullyShardedDataParallel(model, device_id=self.root_device, **self.kwargs)
            self.wrapped = super()._setup_model(model)
        wrapped: nn.Module = self.wrapped
        return wrapped

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the parameters of the whole model on rank 0."""
        if not self.on_cpu:
            return super().lightning_module_state_dict()
        assert self.model is not None
        with self.full_state():
            return self.model.state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of the whole optimizer on rank 0."""
        if not self.on_cpu:
            return super().optimizer_state(optimizer)
        assert self.model is not None
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        with self.full_state():
            state: dict[str, Any] = FullyShardedDataParallel.optim_state_dict(self.model, inner)
        if self.global_rank:
            return state
        return FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_ID, self.model)

    def full_state(self) -> AbstractContextManager[Any]:
        """Gather state dicts on rank 0, without copying them to the CPU."""
        assert self.model is not None
        options: dict[str, bool] = {"offload_to_cpu": False, "rank0_only": True}
        return FullyShardedDataParallel.state_dict_type(
            self.model,
            StateDictType.FULL_STATE_DICT,
            FullStateDictConfig(**options),
            FullOptimStateDictConfig(**options),
        )

    def teardown(self) -> None:
        """Write pending checkpoints, which `FSDPStrategy` does not do."""
        super().teardown()
        self.checkpoint_io.teardown()
