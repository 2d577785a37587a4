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

CONSOLE = "console.log"


def run_in_process(config: DictConfig, task: str, threads: int, device: str | None, say: Connection) -> None:
    """Run a job whose config is composed, and tell the parent what went wrong.

    Args:
        config: with Hydra's own node, that names the directory.
        task: the function `module:name` that Hydra was started with.
        threads: of torch.
        device: GPUs that it may see, as CUDA_VISIBLE_DEVICES has them; `None` for all.
        say: where the error's text goes.
    """
    die_with_parent()
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    folder.mkdir(parents=True, exist_ok=True)
    redirect(folder / CONSOLE)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    share_threads(threads, config.get("trainer", {}).get("devices"))
    type_as_single_run(config, folder)
    setup_globals()
    JobRuntime.instance().set("name", config.hydra.job.name)
    from hydra._internal.callbacks import Callbacks

    function = pkgutil.resolve_name(task)
    function = getattr(function, "__wrapped__", function)
    context = HydraContext(config_loader=None, callbacks=Callbacks(config))  # type: ignore[arg-type]  # nothing is composed
    done = run_job(function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    if done.status is not JobStatus.COMPLETED:
        from trainyard.complaints import complaint

        say.send(complaint(done._return_value))
        sys.exit(1)


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
