"""Jobs that wait or run in a cluster's queue, whoever put them there."""

import getpass
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from trainyard.errors import listing, reject
from trainyard.files import read_json, write_json
from trainyard.sweeps.job import Job

FILE = "queue.json"
SURE_AFTER = 5.0  # seconds to the second question, since a job that is being queued again is seen between two states
STOPPED = ("CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE")  # by no fault of the job
ENDS = ("COMPLETED", "FAILED", "OUT_OF_MEMORY", *STOPPED)


@dataclass
class Queue:
    """The jobs of a sweep that submitit has taken, as the sweep's directory remembers them.

    Attributes:
        folder: of the sweep.
        taken: by the number of a job, `slurm`, or `local` for a process on this machine, and its name there.
    """

    folder: Path
    taken: dict[int, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Queue":
        """Return what is remembered of a sweep."""
        queue = cls(folder)
        with suppress(OSError, ValueError):
            found = read_json(folder / FILE)
            queue.taken = {int(number): (cluster, name) for number, (cluster, name) in found.items()}
        return queue

    def remember(self, taken: dict[int, tuple[str, str]]) -> None:
        """Keep where jobs are."""
        self.taken |= taken
        write_json(self.folder / FILE, {str(number): place for number, place in self.taken.items()})

    def ended(self, numbers: set[int]) -> dict[int, str]:
        """Return the state of those jobs that neither wait nor run, in SLURM's words; empty where it says nothing.

        Raises:
            OSError: SLURM does not answer.
        """
        places = {number: self.taken.get(number, ("", "")) for number in numbers}
        states = slurm_states() if any(cluster == "slurm" for cluster, _ in places.values()) else {}
        return {
            number: states.get(name, "")
            for number, (cluster, name) in places.items()
            if not (is_running(int(name)) if cluster == "local" else states.get(name, "COMPLETED") not in ENDS)
        }

    def left(self, numbers: set[int]) -> set[int]:
        """Return those jobs that wait or run.

        Raises:
            ConfigError: SLURM does not answer, so nobody knows.
        """
        try:
            ended = self.ended(numbers)
            if any(self.taken.get(number, ("", ""))[0] == "slurm" for number in ended):
                time.sleep(SURE_AFTER)
                ended = {number: state for number, state in self.ended(numbers).items() if number in ended}
            return numbers - ended.keys()
        except OSError as error:
            problem = f"its jobs may be in SLURM's queue, and squeue does not answer ({error})"
            accepted = f"where squeue works; or, if nothing runs any more, without {self.folder / FILE}"
            raise reject("sweep.name", self.folder.name, problem, accepted) from error


def check_nothing_waits(folder: Path, jobs: Sequence[Job]) -> None:
    """Raise a ConfigError where jobs that a launcher without a queue is to run are in one."""
    queue = Queue.of(folder)
    if left := sorted(queue.left({job.number for job in jobs})):
        problem = f"{len(left)} of its jobs wait or run as {listing(queue.taken[number][1] for number in left)}"
        accepted = f"hydra/launcher=submitit_{queue.taken[left[0]][0]}, to go on with them"
        raise reject("sweep.name", folder.name, problem, accepted)


def slurm_states() -> dict[str, str]:
    """Return the state of each of this user's jobs in SLURM's memory, by its name: `12_0` for the first of array 12.

    `squeue` is asked, since `sacct` needs an accounting that small clusters lack.

    Raises:
        OSError: it does not answer.
    """
    command = ["squeue", f"--user={getpass.getuser()}", "--noheader", "--array", "--states=all", "--format=%i %T"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip()[-200:])
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)


def is_running(process: int) -> bool:
    """Whether a process of submitit runs on this machine."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and b"submitit" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
