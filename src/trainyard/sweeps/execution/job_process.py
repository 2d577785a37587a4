"""What runs in the process of a job."""

import faulthandler
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.utils import JobRuntime, JobStatus, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from trainyard.run_ending import is_disk_full
from trainyard.signals import interrupt
from trainyard.sweeps.execution.server import NOHUP
from trainyard.sweeps.execution.task import Task

CONSOLE = "console.log"


def run_in_process(task: Task, function: str, threads: int, device: str | None, say: Connection) -> None:
    """Run the job of a task, and tell the parent what went wrong.

    Args:
        task: of one job, whose config has Hydra's own node, that names the directory.
        function: `module:name`, that Hydra was started with.
        threads: of torch.
        device: GPUs that it may see, as CUDA_VISIBLE_DEVICES has them; `None` for all.
        say: where the job's number, the error's text and whether the disk is full go.
    """
    [number], [config] = task.numbers, task.configs
    error: BaseException | None
    try:
        folder = folder_of(config)
        prepare_process(folder / CONSOLE, device)
        share_threads(threads, config.get("trainer", {}).get("devices"))
        type_as_single_run(config, folder)
        error = run_by_hydra(config, function)
    except OSError as problem:  # of its directory, or of its console
        error = problem
    if error is not None:
        from trainyard.complaints import complaint

        say.send((number, complaint(error), is_disk_full(error)))
        sys.exit(1)


def folder_of(config: DictConfig) -> Path:
    """Make the directory of a job, and return it."""
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prepare_process(console: Path, device: str | None) -> None:
    """Set up what all that runs in this process shares."""
    die_with_parent()
    redirect(console)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    setup_globals()


def run_by_hydra(config: DictConfig, function: str) -> BaseException | None:
    """Run the function that Hydra was started with as Hydra does, and return the error that it raised."""
    from hydra._internal.callbacks import Callbacks

    JobRuntime.instance().set("name", config.hydra.job.name)
    called = pkgutil.resolve_name(function)
    called = getattr(called, "__wrapped__", called)
    context = HydraContext(config_loader=None, callbacks=Callbacks(config))  # type: ignore[arg-type]  # nothing is composed
    done = run_job(called, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    return None if done.status is JobStatus.COMPLETED else done._return_value


def share_threads(threads: int, devices: object) -> None:
    """Set the threads of torch in this process, and in each of those that train with it."""
    import torch

    if isinstance(devices, int) and devices > 1:
        threads = max(1, threads // devices)
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)


def type_as_single_run(config: DictConfig, folder: Path) -> None:
    """Let the command line be that of this job: distributed training runs it again for each of its processes."""
    typed = get_args_parser().parse_args(sys.argv[1:])
    flags = {"config-path": typed.config_path, "config-name": typed.config_name, "config-dir": typed.config_dir}
    sys.argv[1:] = [*(f"--{name}={value}" for name, value in flags.items() if value), *config.hydra.overrides.task]
    if Path(sys.argv[0]).name == "__main__.py":  # by `python -m`, which a fork does not know any more
        sys.modules["__main__"].__spec__ = find_spec("trainyard.__main__")
    with open_dict(config):
        config.hydra.run.dir = str(folder)


def redirect(file: Path) -> None:
    """Send what the process prints, and the last words of one that crashes, to a file."""
    with file.open("ab") as console:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    faulthandler.enable(2)


def die_with_parent() -> None:
    """End this process, and all that it starts, when the parent is gone, however that ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGTERM, interrupt)  # which the server ignores
        signal.signal(signal.SIGHUP, signal.SIG_IGN if os.environ.get(NOHUP) == "1" else interrupt)
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # so that a Ctrl-C comes from the parent alone, and the end reaches all
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
