"""Jobs in the queue of a cluster, submitted with submitit, each once."""

import getpass
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
from hydra.core.singleton import Singleton

from trainyard.io.errors import config_error, join_limited
from trainyard.io.files import read_json, write_json
from trainyard.sweeps.job import Job

if TYPE_CHECKING:
    from trainyard.sweeps.sweep import Sweep

QUEUE_FILE = "queue.json"
CLUSTERS = {"SlurmLauncher": "slurm", "LocalLauncher": "local"}  # by the class of the launcher
MAX_ARRAY = 1000  # jobs in an array, SLURM's default limit
QUERY_INTERVAL = {"slurm": 10.0, "local": 0.5}  # seconds
CONFIRM_AFTER = 5.0  # seconds to a second query: a job that is queued again is missing for a moment
STOPPED = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE")  # not the fault of the job
ENDED = ("COMPLETED", "FAILED", "OUT_OF_MEMORY", *STOPPED)


class QueuedJob(NamedTuple):
    """A job of a cluster: `slurm`, or `local` for a process on this machine."""

    cluster: str = ""
    id: str = ""


@dataclass
class ClusterQueue:
    """The submitted jobs of a sweep by number, stored in its directory."""

    folder: Path
    submitted: dict[int, QueuedJob] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "ClusterQueue":
        """Read the queue of a sweep; empty without a file."""
        queue = cls(folder)
        with suppress(OSError, ValueError, TypeError, AttributeError):
            queue.submitted = {int(number): QueuedJob(*job) for number, job in read_json(folder / QUEUE_FILE).items()}
        return queue

    def add(self, submitted: dict[int, QueuedJob]) -> None:
        """Store submitted jobs."""
        self.submitted |= submitted
        write_json(self.folder / QUEUE_FILE, {str(number): job for number, job in self.submitted.items()})

    def ended(self, numbers: set[int]) -> dict[int, str]:
        """Return the jobs that neither wait nor run, with SLURM's state or ""; an OSError if SLURM does not respond."""
        jobs = {number: self.submitted.get(number, QueuedJob()) for number in numbers}
        states = slurm_states() if any(job.cluster == "slurm" for job in jobs.values()) else {}
        ended = {}
        for number, job in jobs.items():
            is_queued = is_running(int(job.id)) if job.cluster == "local" else job.id in states
            if not is_queued or states.get(job.id) in ENDED:
                ended[number] = states.get(job.id, "")
        return ended

    def pending(self, numbers: set[int]) -> set[int]:
        """Return the jobs that wait or run; a ConfigError if SLURM does not respond."""
        try:
            ended = self.ended(numbers)
            if any(number in self.submitted and self.submitted[number].cluster == "slurm" for number in ended):
                time.sleep(CONFIRM_AFTER)
                ended = {number: state for number, state in self.ended(numbers).items() if number in ended}
            return numbers - ended.keys()
        except OSError as error:
            problem = f"its jobs may be in SLURM's queue, and squeue does not respond ({error})"
            accepted = f"a machine where squeue works; or, if no job runs, remove {self.folder / QUEUE_FILE}"
            raise config_error("sweep.name", self.folder.name, problem, accepted) from error


def check_nothing_is_queued(folder: Path, jobs: Sequence[Job]) -> None:
    """Raise a ConfigError if jobs for another launcher wait or run in a queue."""
    queue = ClusterQueue.load(folder)
    if pending := sorted(queue.pending({job.number for job in jobs})):
        names = join_limited(queue.submitted[number].id for number in pending)
        accepted = f"hydra/launcher=submitit_{queue.submitted[pending[0]].cluster}, to resume them"
        raise config_error("sweep.name", folder.name, f"{len(pending)} of its jobs wait or run as {names}", accepted)


def slurm_states() -> dict[str, str]:
    """Return the states of the user's jobs by ID, such as `12_0` for the first of array 12."""
    # `sacct` needs accounting, which small clusters lack.
    command = ["squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--states=all", "--format=%i %T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip()[-200:])
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)


def is_running(pid: int) -> bool:
    """Whether a process of submitit runs on this machine."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and "submitit" in " ".join(process.cmdline())
    return False


class Submission:
    """Jobs in the queue of hydra-submitit-launcher; new ones are submitted in arrays."""

    def __init__(self, launcher: Any, sweep: "Sweep", jobs: Sequence[Job]) -> None:
        self.launcher = launcher
        self.cluster = CLUSTERS[type(launcher).__name__]
        self.numbers = [job.number for job in jobs]
        self.queue = ClusterQueue.load(sweep.folder)
        self.last_query, self.last_ended = 0.0, dict[int, str]()
        submitted = self.queue.submitted
        pending = self.queue.pending(set(self.numbers))
        if pending:
            print(f"queue      {len(pending)} of them wait or run already", flush=True)
        pending |= {job.number for job in jobs if job.result != job.refresh().result}  # ended in the meantime
        lost = [submitted[number].id for number in self.numbers if number in submitted.keys() - pending]
        if lost:
            print(f"queue      {len(lost)} have left it without a result: {join_limited(lost)}", flush=True)
        executor = make_executor(launcher, self.cluster)
        for job in jobs:
            sweep.journal.start(job) if job.number in pending else sweep.start(job)
        new = [job for job in jobs if job.number not in pending]
        for first in range(0, len(new), MAX_ARRAY):
            self.submit(executor, {job.number: sweep.overrides(job) for job in new[first : first + MAX_ARRAY]})

    def submit(self, executor: Any, overrides: dict[int, list[str]]) -> None:
        """Submit an array of jobs, and store their IDs."""
        state = Singleton.get_state()
        calls = [(each, "hydra.sweep.dir", number, str(number), state) for number, each in overrides.items()]
        try:
            submitted = executor.map_array(self.launcher, *zip(*calls, strict=True))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            if not self.queue.submitted:
                shutil.rmtree(Path(self.launcher.params["submitit_folder"]).parent, ignore_errors=True)
            text = str(error).splitlines()
            reasons = "; ".join([line for line in text if "error:" in line] or text[:1])
            accepted = "hydra.launcher.partition, timeout_min, mem_gb, ... that the cluster accepts"
            problem = f"the jobs were rejected ({reasons})"
            raise config_error("hydra/launcher", f"submitit_{self.cluster}", problem, accepted) from error
        queued = {number: QueuedJob(self.cluster, job.job_id) for number, job in zip(overrides, submitted, strict=True)}
        self.queue.add(queued)
        if self.cluster == "slurm":
            print(f"queue      {len(queued)} jobs submitted as {', '.join(array_ids(queued.values()))}", flush=True)

    def ended(self) -> dict[int, str]:
        """Return the error of each job that has left the queue, by number; empty if it is not the job's fault."""
        if time.monotonic() - self.last_query >= QUERY_INTERVAL[self.cluster]:
            self.last_query = time.monotonic()
            try:
                self.last_ended = self.queue.ended(set(self.numbers))
            except OSError:  # SLURM's controller is busy or restarts
                return {}
        return {number: self.reason(number) for number in self.numbers if number in self.last_ended}

    def reason(self, number: int) -> str:
        """Return why a job without a result ended."""
        state, job = self.last_ended[number], self.queue.submitted[number]
        if state in STOPPED:
            return ""
        log = Path(self.launcher.params["submitit_folder"].replace("%j", job.id)) / f"{job.id}_0_log.err"
        return f"it ended without a result{f' (SLURM: {state})' if state else ''}\nsee {log}"

    def stop(self) -> None:
        """Cancel the jobs."""
        for number in self.numbers:
            job = self.queue.submitted[number]
            command = ["scancel"] if job.cluster == "slurm" else ["kill", "-TERM"]
            subprocess.run([*command, job.id], capture_output=True, check=False)

    def pending_note(self) -> str:
        """Return a message about the jobs in the queue."""
        ids = array_ids(self.queue.submitted[number] for number in self.numbers)
        cancel = f"; cancel them with: scancel {' '.join(ids)}" if self.cluster == "slurm" else ""
        return f"jobs that wait or run stay in the queue{cancel}"


def array_ids(jobs: Iterable[QueuedJob]) -> list[str]:
    """Return the IDs of the arrays of jobs."""
    return sorted({job.id.partition("_")[0] for job in jobs})


def make_executor(launcher: Any, cluster: str) -> Any:
    """Return submitit's executor with the options of the launcher; a ConfigError if this machine has no SLURM."""
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    options = dict(launcher.params)
    folder = options.pop("submitit_folder")
    first = {f"{cluster}_max_num_timeout": options.pop("max_num_timeout")} if "max_num_timeout" in options else {}
    try:
        executor = submitit.AutoExecutor(cluster=cluster, folder=folder, **first)
    except RuntimeError as error:
        accepted = "a machine that has srun and sbatch; or hydra/launcher=local or submitit_local"
        raise config_error("hydra/launcher", f"submitit_{cluster}", "SLURM is not available", accepted) from error
    common = BaseQueueConf.__dataclass_fields__
    executor.update_parameters(
        **{name if name in common else f"{cluster}_{name}": value for name, value in options.items()}
    )
    return executor
