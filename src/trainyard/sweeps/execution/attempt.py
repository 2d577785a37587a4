"""What runs of a job on another machine, started there by a launcher of others."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, read_write

from trainyard.complaints import complaint
from trainyard.files import write_json
from trainyard.run_ending import is_disk_full
from trainyard.sweeps.execution.job_process import type_as_single_run
from trainyard.sweeps.job import Job


class Attempt:
    """Runs a config, and leaves a `result.json` where the run itself could not.

    Called on the other machine by the launcher, after it has composed the config.

    Args:
        task: that Hydra was started with.
    """

    def __init__(self, task: Callable[[DictConfig], Any]) -> None:
        self.task = task
        self.words = list(sys.argv)

    def __call__(self, cfg: DictConfig) -> Any:
        """Return what the task returns; its errors go on to the launcher."""
        config: Any = HydraConfig.instance().cfg
        folder = Path(config.hydra.runtime.output_dir)
        sys.argv[:] = self.words
        sys.modules["__main__"].__spec__ = None  # it is the launcher's own program, which nobody wants to run again
        with read_write(config.hydra):
            type_as_single_run(config, folder)
        let_go()
        try:
            return self.task(cfg)
        except Exception as error:
            if not is_disk_full(error) and Job(0, [], folder).look().status != "failed":
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / "result.json", {"status": "failed", "error": complaint(error)})
            raise


def let_go() -> None:
    """Let the signal by which submitit stops a job end it as an interruption, also where it may not be queued again.

    It raises an error then, which would be the run's: failed, and to be begun anew.
    """
    number = getattr(signal, "SIGUSR2", None)  # which Windows lacks
    handler = None if number is None else signal.getsignal(number)
    if number is None or not callable(handler):
        return
    theirs = handler

    def stop(signum: int, frame: FrameType | None) -> None:
        try:
            theirs(signum, frame)
        except Exception as error:
            sys.exit(str(error))

    signal.signal(number, stop)
