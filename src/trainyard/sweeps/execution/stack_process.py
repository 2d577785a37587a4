"""What runs in the process of a stack."""

import signal
from functools import partial
from multiprocessing.connection import Connection

from omegaconf import DictConfig, open_dict

from trainyard.run_ending import is_disk_full
from trainyard.sweeps.execution.job_process import CONSOLE, folder_of, prepare_process, run_by_hydra, share_threads
from trainyard.sweeps.execution.task import Task


def run_stack_in_process(task: Task, function: str, threads: int, device: str | None, say: Connection) -> None:
    """Run the jobs of a task, which train together, and tell the parent how each ended as soon as it has.

    Args:
        task, function, threads, device, say: as in `run_in_process`; what is printed goes to the first job's console.
    """
    interrupted: list[int] = []
    prepare_process(folder_of(task.configs[0]) / CONSOLE, device)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows lacks the last
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: interrupted.append(number))
    share_threads(threads, 1)
    from trainyard.complaints import complaint
    from trainyard.sweeps.stacked.training import train_stacked

    def ended(place: int, error: BaseException | None) -> None:
        say.send((task.numbers[place], "" if error is None else complaint(error), is_disk_full(error)))

    train_stacked([partial(run, config, function) for config in task.configs], ended, lambda: bool(interrupted))


def run(config: DictConfig, function: str) -> None:
    """Run a job of the stack, and raise its error."""
    with open_dict(config):
        config.hydra.run.dir = str(folder_of(config))
    error = run_by_hydra(config, function)
    if error is not None:
        raise error
