"""Jobs that a launcher of others runs, on other machines perhaps: what is seen of them are their directories."""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from hydra.plugins.launcher import Launcher

from trainyard.complaints import complaint
from trainyard.signals import Interrupted
from trainyard.sweeps.execution.processes import ignore
from trainyard.sweeps.execution.queue import check_nothing_waits
from trainyard.sweeps.execution.running import Ended
from trainyard.sweeps.execution.submission import Submission
from trainyard.sweeps.job import UNFINISHED, Job
from trainyard.sweeps.sweep import Sweep
from trainyard.sweeps.watch import Watch
from trainyard.sweeps.worklist import Worklist

LOOK_EVERY = 1.0  # seconds
LOOK_TAKES = 0.005  # seconds that a shared file system is left alone for each file that is looked for
GRACE = 5.0  # seconds until a shared file system shows what another machine has written last


class Work(Protocol):
    """Jobs that were handed on."""

    def over(self) -> dict[int, str]:
        """Return why jobs do not run any more, by their place; empty where that is no fault of theirs."""

    def stop(self) -> None:
        """End them."""

    def remains(self) -> str:
        """Return what becomes of them when nobody waits any more."""


class Launched:
    """Jobs that a launcher runs which tells nothing before it returns; a thread waits for it.

    Args:
        launcher: set up.
        sweep: theirs.
        jobs: to run.
        overrides: of each.
    """

    def __init__(self, launcher: Any, sweep: Sweep, jobs: Sequence[Job], overrides: Sequence[Sequence[str]]) -> None:
        self.launcher, self.jobs, self.overrides = launcher, jobs, overrides
        self.stopped = False
        check_nothing_waits(sweep.stored.folder, jobs)
        for job in jobs:
            sweep.begin(job)
        self.thread = threading.Thread(target=self.launch, daemon=True)
        self.thread.start()

    def launch(self) -> None:
        """Wait until the launcher returns; when it gives up, that is no fault of the jobs that have no result yet."""
        try:
            self.launcher.launch(self.overrides, 0)
        except BaseException as error:  # it ends with the first job whose process dies
            print(f"the launcher has given up: {complaint(error).splitlines()[0]}", flush=True)

    def over(self) -> dict[int, str]:
        """Return the places of all jobs when the launcher has returned, or is not waited for any more."""
        waits = self.thread.is_alive() and not self.stopped
        return {} if waits else dict.fromkeys(range(len(self.jobs)), "")

    def stop(self) -> None:
        """Wait no more; the jobs end with this process."""
        self.stopped = True

    def remains(self) -> str:
        """Return what becomes of them when nobody waits any more."""
        return "jobs that run end with this process"


def run_elsewhere(launcher: Launcher, worklist: Worklist, jobs: Sequence[Job], fail_fast: bool = False) -> None:
    """Run jobs by a launcher of others, and tell of them as they go; may be called again with more jobs.

    Of submitit, jobs that an earlier call, or process, has submitted and that still wait or run are not submitted
    again, but waited for.
    """
    by_submitit = "hydra_submitit_launcher" in type(launcher).__module__
    overrides = [worklist.overrides(job) for job in jobs]
    work = (Submission if by_submitit else Launched)(launcher, worklist.sweep, jobs, overrides)
    with Watch(worklist, jobs, ignore, fail_fast) as watch:
        try:
            follow(work, jobs, watch)
        except (KeyboardInterrupt, Interrupted):
            print(work.remains())
            raise


def follow(work: Work, jobs: Sequence[Job], watch: Watch) -> None:
    """Look at the directories of jobs until all have ended."""
    logs = [size_of_log(job) for job in jobs]
    waiting, running = set(range(len(jobs))), set[int]()
    gone: dict[int, float] = {}
    while waiting or running:
        time.sleep(LOOK_EVERY + LOOK_TAKES * len(waiting | running))
        over = work.over()
        gone = {place: gone.get(place, time.monotonic()) for place in over}  # one that is queued again is not gone
        for place in sorted(waiting | running):
            job = jobs[place].look()
            ended = job.status not in ("interrupted", UNFINISHED)
            if place in over and not ended:
                show_anew(job)
                ended = time.monotonic() - gone[place] > GRACE
            if place in waiting and (ended or size_of_log(job) != logs[place]):
                waiting.remove(place)
                running.add(place)
                watch.begin(place)
            if ended:
                running.remove(place)
                if watch.end(Ended(place, over[place] if job.status == UNFINISHED else "")):
                    work.stop()
        watch.look()


def size_of_log(job: Job) -> int:
    """Return the bytes that a job has written to its log."""
    with suppress(OSError):
        return (job.folder / "run.log").stat().st_size
    return 0


def show_anew(job: Job) -> None:
    """Have a shared file system look again at a directory that another machine has written to."""
    with suppress(OSError):
        os.chmod(job.folder, job.folder.stat().st_mode)  # noqa: PTH101
