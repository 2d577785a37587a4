"""Jobs of other launchers, such as submitit and Ray; their progress is read from their directories."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, read_write

from trainyard.config.format_error import format_error
from trainyard.io.resources import is_disk_full
from trainyard.io.signals import Interrupted
from trainyard.sweeps.execution.job_process import set_command_line
from trainyard.sweeps.execution.submission import Submission, check_nothing_is_queued
from trainyard.sweeps.job import WAITING, Job
from trainyard.sweeps.progress import SweepProgress
from trainyard.sweeps.sweep import Sweep

POLL_INTERVAL = 1.0  # seconds
INTERVAL_PER_JOB = 0.005  # seconds, to spare a shared file system
GRACE_PERIOD = 5.0  # seconds until a shared file system shows the last changes of another machine


class LauncherThread:
    """Jobs of a launcher that only returns when all have ended; it runs in a thread. Methods as in `Submission`."""

    def __init__(self, launcher: Any, sweep: Sweep, jobs: Sequence[Job]) -> None:
        check_nothing_is_queued(sweep.folder, jobs)
        self.launcher = launcher
        self.numbers = [job.number for job in jobs]
        self.stopped = False
        for job in jobs:
            sweep.start(job)
        self.thread = threading.Thread(target=self.launch, args=[[*map(sweep.overrides, jobs)]], daemon=True)
        self.thread.start()

    def launch(self, job_overrides: Sequence[Sequence[str]]) -> None:
        """Run the launcher. Its error does not count as a failure of jobs that have no result."""
        try:
            self.launcher.launch(job_overrides, 0)
        except BaseException as error:  # for example, the process of a job was killed
            print(f"the launcher has stopped: {format_error(error).splitlines()[0]}", flush=True)

    def ended(self) -> dict[int, str]:
        """Return all jobs when the launcher has returned or is stopped."""
        is_running = self.thread.is_alive() and not self.stopped
        return {} if is_running else dict.fromkeys(self.numbers, "")

    def stop(self) -> None:
        """Stop waiting; the jobs end with this process."""
        self.stopped = True

    def pending_note(self) -> str:
        """Return a message about the running jobs."""
        return "running jobs end with this process"


def run_remote(launcher: Launcher, sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Run jobs with another launcher, and show their progress; jobs in a queue of submitit are not submitted again."""
    uses_submitit = "hydra_submitit_launcher" in type(launcher).__module__
    remote = (Submission if uses_submitit else LauncherThread)(launcher, sweep, jobs)
    try:
        follow(remote, sweep, jobs)
    except (KeyboardInterrupt, Interrupted):
        print(remote.pending_note())
        raise


def follow(remote: Submission | LauncherThread, sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Read the directories of jobs until all have ended."""
    unfinished = {job.number: job for job in jobs}
    waiting = {job.number: log_size(job) for job in jobs}  # for the log to grow
    ended_at: dict[int, float] = {}
    progress = SweepProgress(sweep)
    with progress.bars:
        while unfinished:
            time.sleep(POLL_INTERVAL + INTERVAL_PER_JOB * len(unfinished))
            ended = remote.ended()
            ended_at = {number: ended_at.get(number, time.monotonic()) for number in ended}
            for number, job in list(unfinished.items()):
                has_ended = job.refresh().has_ended
                if number in ended and not has_ended:
                    with suppress(OSError):  # makes NFS read the directory again
                        os.chmod(job.folder, job.folder.stat().st_mode)  # noqa: PTH101
                    has_ended = time.monotonic() - ended_at[number] > GRACE_PERIOD
                if number in waiting and (has_ended or log_size(job) != waiting[number]):
                    del waiting[number]
                    progress.start(job)
                if has_ended:
                    del unfinished[number]
                    sweep.finish(job, ended.get(number, "") if job.status == WAITING else "")
                    progress.finish(job)
                    if sweep.stopping:
                        remote.stop()
            progress.update()


def log_size(job: Job) -> int:
    """Return the size of the log of a job in bytes; 0 without a log."""
    with suppress(OSError):
        return (job.folder / "run.log").stat().st_size
    return 0


class RemoteTask:
    """Runs Hydra's task for a job on the other machine; writes `result.json` if the run itself could not."""

    def __init__(self, task: Callable[[DictConfig], Any]) -> None:
        self.task = task
        self.command_line = list(sys.argv)

    def __call__(self, cfg: DictConfig) -> Any:
        """Run a job; its error is passed on to the launcher."""
        config: Any = HydraConfig.instance().cfg
        folder = Path(config.hydra.runtime.output_dir)
        sys.argv[:] = self.command_line
        sys.modules["__main__"].__spec__ = None  # distributed training must not repeat the launcher's program
        with read_write(config.hydra):
            set_command_line(config, folder)
        exit_on_preemption_error()
        try:
            return self.task(cfg)
        except Exception as error:
            if not is_disk_full(error):
                Job(0, [], folder).write_error(format_error(error))
            raise


def exit_on_preemption_error() -> None:
    """Turn the error of submitit's signal handler, for a job that may not be queued again, into an interruption."""
    number = getattr(signal, "SIGUSR2", None)  # Windows has none
    handler = None if number is None else signal.getsignal(number)
    if number is None or not callable(handler):
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        try:
            handler(signum, frame)
        except Exception as error:
            sys.exit(str(error))

    signal.signal(number, stop)
