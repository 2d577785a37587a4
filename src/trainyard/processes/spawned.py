"""Processes that are spawned, and watched."""

import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.strategies.launchers.multiprocessing import _GlobalStateSnapshot
from lightning.pytorch.trainer.call import _interrupt
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from trainyard.import_path import installed_only_in_children
from trainyard.processes.parent import end_with_parent
from trainyard.processes.reasons import FOLDER, ProcessDied, collect, death, told
from trainyard.signals import Interrupted

PATIENCE = 5.0  # seconds that the others have to end by themselves, and again when they were told to
SAVING = 60.0  # likewise, when the run was interrupted: until the end of a step, and to save


class SpawnedProcesses(_MultiProcessingLauncher):
    """Lightning's launcher, but for the end: whatever it is, all processes end, and the first to die is named."""

    def launch(self, function: Callable[..., Any], *args: Any, trainer: L.Trainer | None = None, **kwargs: Any) -> Any:
        """Run a function in each process, and return what it gave in the first.

        Raises:
            ProcessDied: one of them has ended before its time.
            Interrupted: a signal has ended one of them, and so all, after they have saved.
        """
        assert self._strategy.cluster_environment is not None
        os.environ["MASTER_PORT"] = str(self._strategy.cluster_environment.main_port)
        with installed_only_in_children():
            results = multiprocessing.get_context(self._start_method).SimpleQueue()
        folder = collect()
        try:
            self.run((trainer, function, args, kwargs, results, _GlobalStateSnapshot.capture()))
            if results.empty():
                raise ProcessDied(self.cause(folder) or "rank 0 ended before its time")
        except ProcessException as error:
            if isinstance(error, ProcessExitedException) and error.exit_code - 128 in signal.valid_signals():
                raise Interrupted(error.exit_code - 128) from error
            raise ProcessDied(self.cause(folder, error.error_index) or str(error)) from error
        except (KeyboardInterrupt, SystemExit):
            self.end(SAVING)
            raise
        finally:
            self.end()
            os.environ.pop(FOLDER, None)
            shutil.rmtree(folder, ignore_errors=True)
        output = results.get()
        if trainer is None:
            return output
        self._already_fit |= trainer.state.fn == TrainerFn.FITTING
        self._recover_results_in_main_process(output, trainer)
        return output.trainer_results

    def run(self, arguments: tuple[Any, ...]) -> None:
        """Start the processes, and wait for all of them, or for the first that dies and then the others."""
        count: int = self._strategy.num_processes  # type: ignore[attr-defined]
        start: Any = start_processes
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # that it ends the others is no news
        with sigterm_raised():
            with installed_only_in_children():
                started = start(self._wrapping_function, arguments, count, join=False, start_method=self._start_method)
            self.procs = started.processes
            while not started.join(grace_period=PATIENCE):
                pass

    def cause(self, folder: Path, first: int = 0) -> str | None:
        """Return a sentence on the process that died first.

        Args:
            folder: of the reasons that the processes have written.
            first: rank of the process that torch saw end first; others may have been killed after it.
        """
        ranks = sorted(range(len(self.procs)), key=lambda rank: rank != first)
        return death(folder, {rank: self.procs[rank].exitcode or 0 for rank in ranks})

    def end(self, patience: float = PATIENCE) -> None:
        """End the processes that still run: at their next step, or else at once, or else by force.

        SIGTERM comes first: from a terminal they have a SIGINT already, and a second one would end them in the middle
        of a step, or of a drawing.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
            self.kill(number)
            until = time.monotonic() + patience
            for process in self.procs:
                process.join(max(0.0, until - time.monotonic()))

    def get_extra_results(self, trainer: L.Trainer) -> dict[str, Any]:
        """Add to what is sent home how far training is: what is measured after it belongs to that step."""
        return {**super().get_extra_results(trainer), "progress": trainer.fit_loop.state_dict()}

    def update_main_process_results(self, trainer: L.Trainer, extra: dict[str, Any]) -> None:
        """Take it up."""
        super().update_main_process_results(trainer, extra)
        trainer.fit_loop.load_state_dict(extra["progress"])

    def _wrapping_function(self, process_idx: int, trainer: Any, *more: Any, **others: Any) -> None:
        end_with_parent()
        with sigterm_raised(), told(process_idx):
            try:
                super()._wrapping_function(process_idx, trainer, *more, **others)
            except BaseException as error:
                for number in (signal.SIGINT, signal.SIGTERM):  # it ends; another one would come in between
                    signal.signal(number, signal.SIG_IGN)
                with suppress(Exception):  # the error that is raised says more
                    _interrupt(trainer, error)  # Lightning calls it only in the parent, which does not train
                with suppress(Exception):
                    trainer.strategy.checkpoint_io.teardown()  # writes what waits
                raise


@contextmanager
def sigterm_raised() -> Iterator[None]:
    """Have SIGTERM end this process by an exception, after the others, unless something else looks after it."""
    ours = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def terminate(*_: object) -> None:
    """Raise what Lightning raises at a SIGTERM."""
    raise SIGTERMException
