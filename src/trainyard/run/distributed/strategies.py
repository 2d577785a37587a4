"""Strategies for several processes: copies of the model (DDP), or parameters split among the processes (FSDP)."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ParallelStrategy
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore, init_process_group  # type: ignore[attr-defined]
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    StateDictType,
)
from torch.distributed.fsdp.fully_sharded_data_parallel import OptimStateKeyType
from torch.optim import Optimizer

from trainyard.callbacks.protocols import count_examples
from trainyard.data.loading.loader import ResumableBatchSampler, derive_generator


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

        In the last batch of an epoch, processes may have different numbers of examples, so that the mean of their mean
        gradients would differ from the mean over all examples. All processes start with the random state of rank 0,
        and would have the same dropout; other ranks are seeded with (seed, epoch, batch, rank).
        """
        super().on_train_batch_start(batch, batch_idx)
        assert self.lightning_module is not None
        trainer = self.lightning_module.trainer
        order = getattr(trainer.train_dataloader, "sampler", None)
        if isinstance(order, ResumableBatchSampler):
            self.weight = gradient_weight(order, count_examples(batch), batch_idx)
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


def join_after_restart(backend: str) -> None:
    """Join the process group of a torchrun restart.

    torch 2.13 reads the addresses of the previous attempt from torchrun's store; a prefix for each attempt avoids it.
    """
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if attempt and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = PrefixStore(f"attempt_{attempt}", TCPStore(address, port, is_master=False))
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        init_process_group(backend, store=store, rank=rank, world_size=size)


def gradient_weight(order: ResumableBatchSampler, examples: int, batch: int) -> float:
    """Return the number of examples that this process has in a batch, relative to the mean over all processes."""
    total = min(order.global_batch, order.size - batch * order.global_batch)
    return examples * order.world_size / total


class DDP(WeightedGradients, DDPStrategy):
    """Each process has a copy of the model and its part of each batch; gradients are averaged."""


class FSDP(WeightedGradients, FSDPStrategy):
    """Each process has a part of the parameters and of each batch.

    On CPUs, torch needs an explicit device, and must not offload state dicts, which would free the tensors.
    """

    wrapped: Any = None

    @property
    def on_cpu(self) -> bool:
        """Whether the processes run on CPUs."""
        return self.root_device.type == "cpu"

    # A private name: Lightning has no public hook here. Covered by tests/run/distributed/test_strategies.py.
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
        with self.full_state() as model:
            return model.state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of the whole optimizer on rank 0."""
        if not self.on_cpu:
            return super().optimizer_state(optimizer)
        inner = optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        with self.full_state() as model:
            state: dict[str, Any] = FullyShardedDataParallel.optim_state_dict(model, inner)
        if self.global_rank:
            return state
        return FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_ID, model)

    @contextmanager
    def full_state(self) -> Iterator[nn.Module]:
        """Gather state dicts of the model on rank 0, without copying them to the CPU."""
        assert self.model is not None
        options: dict[str, bool] = {"offload_to_cpu": False, "rank0_only": True}
        configs = FullStateDictConfig(**options), FullOptimStateDictConfig(**options)
        with FullyShardedDataParallel.state_dict_type(self.model, StateDictType.FULL_STATE_DICT, *configs):
            yield self.model

    def teardown(self) -> None:
        """Write pending checkpoints, which `FSDPStrategy` does not do."""
        super().teardown()
        self.checkpoint_io.teardown()
