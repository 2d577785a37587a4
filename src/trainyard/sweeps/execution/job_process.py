"""The process of a job, or of a stack of jobs that train together."""

import argparse
import faulthandler
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from trainyard.config.format_error import format_error
from trainyard.io.resources import CORES, is_disk_full
from trainyard.io.signals import interrupt

CONSOLE = "console.log"
NOHUP = "TRAINYARD_NOHUP"  # environment variable: whether jobs survive the end of the terminal


@dataclass(frozen=True)
class HydraTask:
    """The function `module:name` that Hydra runs with each config, and Hydra's callbacks."""

    function: str
    callbacks: Any

    def run(self, config: DictConfig) -> None:
        """Run one job as Hydra's own launcher does; raise its error."""
        JobRuntime.instance().set("name", config.hydra.job.name)
        function = pkgutil.resolve_name(self.function)
        function = getattr(function, "__wrapped__", function)
        context = HydraContext(config_loader=None, callbacks=self.callbacks)  # type: ignore[arg-type]  # not used
        _ = run_job(function, config, "hydra.sweep.dir", "hydra.sweep.subdir", context).return_value


def job_number(config: DictConfig) -> int:
    """Return the number of a job, which is the name of its directory, from its config with Hydra's node."""
    return int(config.hydra.sweep.subdir)


def run_job_process(
    configs: Sequence[DictConfig], task: HydraTask, threads: int, devices: str | None, messages: Connection
) -> None:
    """Run a job.

    Args:
        configs: of the job, with Hydra's node.
        threads: largest number of threads of torch.
        devices: value of CUDA_VISIBLE_DEVICES; `None` for all.
        messages: receives number, error and whether the disk is full, if the job fails.
    """
    [config] = configs
    try:
        folder = create_job_folder(config)
        prepare_process(folder / CONSOLE, devices)
        set_threads(threads, config.get("trainer", {}).get("devices"))
        set_command_line(config, folder)
        task.run(config)
    except Exception as error:
        messages.send((job_number(config), format_error(error), is_disk_full(error)))
        sys.exit(1)


def run_stack_process(
    configs: Sequence[DictConfig], task: HydraTask, threads: int, devices: str | None, messages: Connection
) -> None:
    """Run jobs that train together, and report each one that ends; arguments as in `run_job_process`."""
    signals: list[int] = []
    prepare_process(create_job_folder(configs[0]) / CONSOLE, devices)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: signals.append(number))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # the work of a step is that of all jobs together
    set_threads(threads, 1)
    from trainyard.sweeps.stacked.train_stacked import train_stacked

    def run(place: int) -> None:
        task.run(configs[place])

    def report(place: int, error: BaseException | None) -> None:
        text = "" if error is None else format_error(error)
        messages.send((job_number(configs[place]), text, is_disk_full(error)))

    train_stacked(resolve_stack(configs), run, report, lambda: bool(signals))


def resolve_stack(configs: Sequence[DictConfig]) -> list[DictConfig]:
    """Create the directories of jobs, and return the first config as its run will resolve it, of others the own values.

    Resolving a whole config takes longer than training a small network for an epoch.
    """
    from trainyard.config.accepted import remove_unused
    from trainyard.config.arguments import convert_text
    from trainyard.config.composition import resolve, to_plain

    resolved: list[DictConfig] = []
    for config in configs:
        folder = str(create_job_folder(config).absolute())
        with open_dict(config):
            config.hydra.run.dir = config.hydra.runtime.output_dir = folder
        HydraConfig.instance().set_config(config)
        if resolved:
            values = to_plain(config, ("seed", "optimizer", "scheduler"))
            convert_text(values)
            resolved.append(OmegaConf.create({**values, "run": {"dir": folder}}))
        else:
            resolved.append(resolve(config))
            remove_unused(resolved[0])
    return resolved


def create_job_folder(config: DictConfig) -> Path:
    """Create the directory of a job."""
    folder = Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prepare_process(console: Path, devices: str | None) -> None:
    """Set up signals, console, GPUs and Hydra's resolvers."""
    exit_with_parent()
    redirect_output(console)
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    setup_globals()


def set_threads(threads: int, devices: object) -> None:
    """Set the number of threads of torch, here and in the processes of distributed training.

    A run may choose a smaller number, unless the user has set OMP_NUM_THREADS.
    """
    import torch

    os.environ[CORES] = str(threads)
    if isinstance(devices, int) and devices > 1:
        threads = max(1, threads // devices)
    torch.set_num_threads(threads)
    if os.environ.get("OMP_NUM_THREADS"):
        os.environ["OMP_NUM_THREADS"] = str(threads)


def set_command_line(config: DictConfig, folder: Path) -> None:
    """Replace `sys.argv` by the command of a single run, which distributed training repeats for its processes."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for short, name in (("-cp", "--config-path"), ("-cn", "--config-name"), ("-cd", "--config-dir")):
        parser.add_argument(short, name)
    flags = vars(parser.parse_known_args(sys.argv[1:])[0])
    words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value]
    sys.argv[1:] = [*words, *config.hydra.overrides.task]
    if Path(sys.argv[0]).name == "__main__.py":  # of `python -m`, which a forked process does not know
        sys.modules["__main__"].__spec__ = find_spec("trainyard.__main__")
    with open_dict(config):
        config.hydra.run.dir = str(folder)


def redirect_output(file: Path) -> None:
    """Append all output of the process, also that of a crash, to a file."""
    with file.open("ab") as console:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
    faulthandler.enable(2)


def exit_with_parent() -> None:
    """Handle signals as a single run does, and kill this process and its children when the parent has exited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGTERM, interrupt)  # the fork server ignores both
        signal.signal(signal.SIGHUP, signal.SIG_IGN if os.environ.get(NOHUP) == "1" else interrupt)
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # a Ctrl-C then comes only from the parent
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def kill_with_parent() -> None:
        parent.join()
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=kill_with_parent, daemon=True).start()
