"""Parameters that are split among processes, on processors too."""

from contextlib import AbstractContextManager
from typing import Any

from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    FullyShardedDataParallel,
    StateDictType,
)
from torch.distributed.fsdp.fully_sharded_data_parallel import OptimStateKeyType
from torch.optim import Optimizer

from trainyard.processes.fair_share import FairShare
from trainyard.processes.rerun import RerunProcesses


class FSDP(FairShare, FSDPStrategy):
    """Each process has its share of the parameters and of a batch.

    On processors, to try it out, torch must be told the device, and must not move there what is there and then free it.
    """

    split: Any = None  # the wrapped model

    @property
    def on_cpu(self) -> bool:
        """Whether the processes have no accelerators."""
        return self.root_device.type == "cpu"

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = RerunProcesses(self.cluster_environment, self.num_processes, self.num_nodes)

    def _setup_model(self, model: nn.Module) -> nn.Module:
        if self.split is None or self.split.module is not model:  # to be tested, it would be split once more
            for parameter in model.parameters():
                parameter.whole_ndim = parameter.ndim  # type: ignore[attr-defined]  # decides on weight decay
            if self.on_cpu:
                model = FullyShardedDataParallel(model, device_id=self.root_device, **self.kwargs)
            self.split = super()._setup_model(model)
        split: nn.Module = self.split
        return split

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the whole model's parameters on the first process."""
        if not self.on_cpu:
            return super().lightning_module_state_dict()
        assert self.model is not None
        with self.whole_state():
            return self.model.state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the whole optimizer's state on the first process."""
        if not self.on_cpu:
            return super().optimizer_state(optimizer)
        assert self.model is not None
        inner = optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        with self.whole_state():
            state: dict[str, Any] = FullyShardedDataParallel.optim_state_dict(self.model, inner)
        if self.global_rank:
            return state
        return FullyShardedDataParallel.rekey_optim_state_dict(state, OptimStateKeyType.PARAM_ID, self.model)

    def whole_state(self) -> AbstractContextManager[Any]:
        """Have states gathered on the first process, where they lie."""
        assert self.model is not None
        stays: dict[str, bool] = {"offload_to_cpu": False, "rank0_only": True}
        return FullyShardedDataParallel.state_dict_type(
            self.model, StateDictType.FULL_STATE_DICT, FullStateDictConfig(**stays), FullOptimStateDictConfig(**stays)
        )

    def teardown(self) -> None:
        """Write the checkpoints that wait, which Lightning's forgets."""
        super().teardown()
        self.checkpoint_io.teardown()
