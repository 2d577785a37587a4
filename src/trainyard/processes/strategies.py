"""Lightning's strategies, with processes that are watched and learn what one would."""

from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from trainyard.processes.fair_share import FairShare
from trainyard.processes.rerun import RerunProcesses
from trainyard.processes.spawned import SpawnedProcesses


class DDP(FairShare, DDPStrategy):
    """Each process has the whole model and its share of a batch; the gradients are averaged."""

    def _configure_launcher(self) -> None:
        environment = self.cluster_environment
        assert environment is not None
        if self._start_method == "popen":
            self._launcher = RerunProcesses(environment, self.num_processes, self.num_nodes)
        else:
            self._launcher = SpawnedProcesses(self, self._start_method)


class FSDP(FairShare, FSDPStrategy):
    """Each process has its share of the parameters and of a batch; on processors too, to try it out."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = RerunProcesses(self.cluster_environment, self.num_processes, self.num_nodes)

    def _setup_model(self, model: nn.Module) -> nn.Module:
        if self.root_device.type == "cpu":  # torch takes it when it is named, and Lightning then finds all done
            model = FullyShardedDataParallel(model, device_id=self.root_device, **self.kwargs)
        return super()._setup_model(model)
