"""Jobs that submitit hands to a cluster, each once."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton

from trainyard.errors import ConfigError, listing, reject
from trainyard.sweeps.execution.queue import STOPPED, Queue
from trainyard.sweeps.job import Job
from trainyard.sweeps.sweep import Sweep

CHUNK = 1000  # jobs in an array, the most that SLURM allows unless it is told otherwise
ASK_EVERY = {"slurm": 10.0, "local": 0.5}  # seconds between two questions


class Submission:
    """Jobs in a queue: those that were not there already are submitted, in arrays.

    Args:
        launcher: of hydra-submitit-launcher, set up.
        sweep: theirs.
        jobs: to run.
        overrides: of each.
    """

    def __init__(self, launcher: Any, sweep: Sweep, jobs: Sequence[Job], overrides: Sequence[Sequence[str]]) -> None:
        self.launcher = launcher
        self.cluster: str = launcher._EXECUTOR
        self.numbers = [job.number for job in jobs]
        self.queue = Queue.of(sweep.stored.folder)
        self.asked, self.known = 0.0, dict[int, str]()
        there = self.queue.left(set(self.numbers))
        if there:
            print(f"queue      {len(there)} of them wait or run already", flush=True)
        there |= {
            job.number for job in jobs if job.result != job.look().result
        }  # they have ended since the sweep looked
        again = [self.queue.taken[number][1] for number in self.numbers if number in self.queue.taken.keys() - there]
        if again:
            print(f"queue      {len(again)} have left it without a result: {listing(again)}", flush=True)
        executor = make_executor(launcher)
        for job in jobs:
            sweep.journal.begin(job) if job.number in there else sweep.begin(job)
        fresh = [place for place, number in enumerate(self.numbers) if number not in there]
        for start in range(0, len(fresh), CHUNK):
            self.submit(executor, {self.numbers[place]: overrides[place] for place in fresh[start : start + CHUNK]})

    def submit(self, executor: Any, overrides: dict[int, Sequence[str]]) -> None:
        """Hand jobs to the cluster, and remember them."""
        calls = [
            (list(words), "hydra.sweep.dir", number, str(number), Singleton.get_state())
            for number, words in overrides.items()
        ]
        try:
            taken = executor.map_array(self.launcher, *zip(*calls, strict=True))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            if not self.queue.taken:
                shutil.rmtree(Path(self.launcher.params["submitit_folder"]).parent, ignore_errors=True)
            raise refused(self.cluster, error) from error
        self.queue.remember({number: (self.cluster, job.job_id) for number, job in zip(overrides, taken, strict=True)})
        names = sorted({job.job_id.partition("_")[0] for job in taken})
        if self.cluster == "slurm":
            print(f"queue      {len(taken)} jobs submitted as {', '.join(names)}", flush=True)

    def over(self) -> dict[int, str]:
        """Return why jobs do not run any more, by their place; empty where that is no fault of theirs."""
        if time.monotonic() - self.asked >= ASK_EVERY[self.cluster]:
            self.asked = time.monotonic()
            try:
                self.known = self.queue.ended(set(self.numbers))
            except OSError:
                return {}  # SLURM's controller is busy or away; the jobs are not
        return {place: self.reason(number) for place, number in enumerate(self.numbers) if number in self.known}

    def reason(self, number: int) -> str:
        """Return why a job ended that left no result."""
        state = self.known[number]
        if state in STOPPED:
            return ""
        _, name = self.queue.taken[number]
        log = Path(self.launcher.params["submitit_folder"].replace("%j", name)) / f"{name}_0_log.err"
        return f"it ended without a result{f' (SLURM: {state})' if state else ''}\nsee {log}"

    def stop(self) -> None:
        """Take the jobs out of the queue, and end those that run."""
        for number in self.numbers:
            cluster, name = self.queue.taken[number]
            command = ["scancel", name] if cluster == "slurm" else ["kill", "-TERM", name]
            subprocess.run(command, capture_output=True, check=False)

    def remains(self) -> str:
        """Return what becomes of the jobs when nobody waits any more."""
        names = sorted({name.partition("_")[0] for _, name in map(self.queue.taken.__getitem__, self.numbers)})
        end = f"; scancel {' '.join(names)} takes them out" if self.cluster == "slurm" else ""
        return f"jobs that wait or run stay in the queue{end}"


def make_executor(launcher: Any) -> Any:
    """Return what submits, with the launcher's options."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    cluster, options = launcher._EXECUTOR, dict(launcher.params)
    folder = options.pop("submitit_folder")
    first = {f"{cluster}_max_num_timeout": options.pop("max_num_timeout")} if "max_num_timeout" in options else {}
    try:
        executor = submitit.AutoExecutor(cluster=cluster, folder=folder, **first)
    except RuntimeError as error:
        accepted = "on a machine that has srun and sbatch; hydra/launcher=local or submitit_local anywhere"
        raise reject("hydra/launcher", f"submitit_{cluster}", "there is no SLURM here", accepted) from error
    common = BaseQueueConf.__dataclass_fields__
    executor.update_parameters(
        **{name if name in common else f"{cluster}_{name}": value for name, value in options.items()}
    )
    return executor


def refused(cluster: str, error: Exception) -> ConfigError:
    """Return the error that says what a cluster has against the jobs."""
    lines = [line for line in str(error).splitlines() if "error:" in line] or str(error).splitlines()[:1]
    accepted = "hydra.launcher.partition, timeout_min, mem_gb, ... as the cluster has them"
    return reject("hydra/launcher", f"submitit_{cluster}", f"the jobs are refused ({'; '.join(lines)})", accepted)
