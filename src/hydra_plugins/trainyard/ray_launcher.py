"""The launcher for jobs on a Ray cluster."""

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.trainyard.launchers import LocalLauncher

node = {"_target_": f"{__name__}.RayLauncher", "address": None, "cpus": 1.0, "gpus": 0.0}
ConfigStore.instance().store(group="hydra/launcher", name="ray", node=node, provider="trainyard")


class RayLauncher(Launcher):
    """Runs each job as a Ray task, which forks a process for it. Ray decides when and on which machine.

    All machines need the current folder, at the same path, for example on a shared file system.

    Args:
        address: of the head of a running cluster, or `auto` to find one; without it, Ray starts on this machine.
        cpus: CPUs that Ray reserves for a job, which is also its number of threads.
        gpus: GPUs that Ray reserves for a job and makes visible to it.
    """

    def __init__(self, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0) -> None:
        self.address = address
        self.resources = {"num_cpus": cpus, "num_gpus": gpus}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the arguments that Hydra passes to every launcher, and connect to the cluster.

        Raises:
            ConfigError: ray cannot be imported, the address does not respond, or a resource is invalid.
        """
        from trainyard.io.errors import config_error
        from trainyard.io.extras import describe_missing

        self.context, self.task, self.config = hydra_context, task_function, config
        try:
            import ray
        except Exception as error:  # whatever the code of the package raises
            raise config_error("hydra/launcher", "ray", *describe_missing("ray", ("ray",), error)) from error
        try:
            # A job whose process dies is not repeated by Ray but by the sweep, which counts attempts.
            resources = {name: float(value) for name, value in self.resources.items()}
            self.remote_job = ray.remote(max_retries=0, **resources)(run_ray_job)
        except (ValueError, TypeError) as error:
            values = {name.removeprefix("num_"): value for name, value in self.resources.items()}
            raise config_error("hydra.launcher", values, str(error), "numbers of CPUs and GPUs from 0") from error
        try:
            if self.address not in (None, "auto", "local"):
                check_connection(self.address)
            ray.init(self.address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            problem = f"Ray does not respond ({str(error).splitlines()[0]})"
            accepted = "HOST:PORT of a cluster's head, auto, or null to start Ray on this machine"
            raise config_error("hydra.launcher.address", self.address, problem, accepted) from error

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides, and wait for all."""
        import ray

        launcher = ray.put(self)  # once for all jobs
        state, folder = Singleton.get_state(), Path.cwd()
        jobs = [
            self.remote_job.remote(launcher, list(overrides), index, state, folder, sys.argv)
            for index, overrides in enumerate(job_overrides, start=initial_job_idx)
        ]
        returns = []
        for job in jobs:
            try:
                returns.append(JobReturn(status=ray.get(job)))
            except ray.exceptions.RayError as error:  # its process was killed, or its machine has failed
                print(f"a Ray task was lost: {str(error).strip().splitlines()[-1]}", flush=True)
                returns.append(JobReturn(status=JobStatus.FAILED, _return_value=error))
        return returns

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "remote_job"}


def check_connection(address: str) -> None:
    """Raise an OSError or ValueError if nothing responds at `HOST:PORT`; Ray would wait for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    socket.create_connection((host, int(port)), timeout=10).close()


def run_ray_job(
    launcher: RayLauncher,
    overrides: list[str],
    index: int,
    state: dict[type, Singleton],
    folder: Path,
    command_line: list[str],
) -> JobStatus:
    """Run one job from the process of a Ray task; return its status.

    Ray uses a process for several tasks, so only its first one waits for the server that forks jobs to import torch.
    """
    from trainyard.sweeps.job import Job

    os.chdir(folder)
    sys.argv[:] = command_line
    main = sys.modules["__main__"]
    main.__spec__ = main.__file__ = None  # jobs must not import the program of Ray's process
    Singleton.set_state(state)
    setup_globals()
    local = LocalLauncher()
    local.setup(hydra_context=launcher.context, task_function=launcher.task, config=launcher.config)
    [config] = local.compose_jobs([overrides], index)
    [job_exit] = local.create_pool(1).run([[config]])
    if job_exit.error and not job_exit.disk_full:
        Job(job_exit.number, overrides, Path(config.hydra.sweep.dir, str(job_exit.number))).write_error(job_exit.error)
    return JobStatus.FAILED if job_exit.error else JobStatus.COMPLETED
