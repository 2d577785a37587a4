"""Processes that run the command line again, and are watched."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from trainyard.files import write_json
from trainyard.processes.parent import end_with_parent
from trainyard.processes.reasons import FOLDER, ProcessDied, collect, death, lost_another, told

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds in which what follows from a death shows by itself
LOOK_EVERY = 0.2  # seconds


class RerunProcesses(_SubprocessScriptLauncher):
    """Lightning's launcher, but for the end: Lightning kills the first process too, which then writes no result.

    Where something else has started the processes, torchrun or SLURM, that watches them.

    Attributes:
        reasons: the folder where the other processes say why they end, when this one has started them.
        running: whether the others are needed at the moment.
    """

    reasons: Path | None = None
    running = False

    def launch(self, function: Callable[..., Any], *args: Any, trainer: L.Trainer | None = None, **kwargs: Any) -> Any:
        """Start the other processes, if they are not there, and run a function in this one.

        Raises:
            ProcessDied: one of the others has ended before its time.
        """
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self.start(Path(trainer.default_root_dir) if trainer else None)
        elif FOLDER in os.environ:
            end_with_parent()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        self.running = True
        try:
            with told():
                return function(*args, **kwargs)
        except BaseException as error:
            self.running = False
            cause = self.cause(missed=lost_another(error))
            self.end()
            if cause is not None and isinstance(error, Exception):
                raise ProcessDied(cause) from error
            raise
        finally:
            self.running = False

    def start(self, run: Path | None) -> None:
        """Start the other processes, and look after them."""
        self.reasons = collect()
        self._call_children_scripts()
        del os.environ[FOLDER]
        threading.Thread(target=self.look, args=(run,), daemon=True).start()

    def look(self, run: Path | None) -> None:
        """Look for a process that dies; if this one does not notice by itself, since it waits for the dead, end it."""
        died = 0.0  # when
        while died == 0.0 or time.monotonic() < died + 2 * PATIENCE:
            time.sleep(LOOK_EVERY)
            codes = [process.poll() for process in self.procs]
            if all(code == 0 for code in codes):
                return
            died = (died or time.monotonic()) if self.running and any(codes) else 0.0
        self.give_up(run)

    def give_up(self, run: Path | None) -> None:
        """End all processes, this one too, and write why."""
        reason = f"{ProcessDied.__name__}: {self.cause() or 'a process has died'}"
        log.error("%s", reason)
        if run is not None:
            write_json(run / "result.json", {"status": "failed", "error": reason})
        self.end(0.0)
        os._exit(1)

    def cause(self, missed: bool = False) -> str | None:
        """Return a sentence on the process that died first, if this one has started it; wait for one that is missed."""
        if self.reasons is None:
            return None
        first = self.cluster_environment.node_rank() * self.num_processes
        until = time.monotonic() + (PATIENCE if missed else 0.0)
        while True:
            codes = {rank: code for rank, process in enumerate(self.procs, 1) if (code := process.poll()) is not None}
            if cause := death(self.reasons, codes, first, missed):
                return cause
            if time.monotonic() > until:
                return None
            time.sleep(LOOK_EVERY)

    def end(self, patience: float = PATIENCE) -> None:
        """End the other processes, at once where they do not end by themselves."""
        until = time.monotonic() + patience
        while any(process.poll() is None for process in self.procs) and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
        for process in self.procs:
            process.kill()
            process.wait()
