"""Processes that each have the whole model."""

from lightning.pytorch.strategies import DDPStrategy

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
