"""Cost per job of a sweep of a thousand jobs: `python scripts/benchmark_many_jobs.py [JOBS]`.

Runs trivial jobs, two at a time. Prints the seconds per job, the peak memory of the parent process, and the growth of
the journal, for each hundred jobs.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS, INTERVAL = 1000, 100
TRIVIAL = ("model.hidden_dims=[4]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")
FINISHED = re.compile(r"\[(\d+)/\d+\]")


def peak_memory(pid: int) -> float:
    """Return the largest memory of a process so far, in MiB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Run the sweep and print a line for each hundred jobs."""
    jobs = int(sys.argv[1]) if sys.argv[1:] else JOBS
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*TRIVIAL, f"seed=range({jobs})", "sweep.name=many", "hydra.launcher.slots=2"]
        command = [sys.executable, "-u", "-m", "trainyard", "-m", *overrides]
        start = time.perf_counter()
        sweep = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        journal = Path(folder) / "outputs" / "sweeps" / "many" / "journal.log"
        previous_size = 0
        assert sweep.stdout is not None
        print(f"{'jobs':>5} {'s/job':>7} {'memory MiB':>11} {'journal bytes/job':>18}", flush=True)
        for line in sweep.stdout:
            match = FINISHED.match(line)
            finished = int(match[1]) if match else 0
            seconds = time.perf_counter() - start
            if finished == 1:
                print(f"composing and checking all jobs, and the first job: {seconds:.1f} s")
            elif finished and finished % INTERVAL == 0:
                size = journal.stat().st_size
                growth, previous_size = (size - previous_size) / INTERVAL, size
                print(f"{finished:>5} {seconds / INTERVAL:>7.3f} {peak_memory(sweep.pid):>11.0f} {growth:>18.0f}")
            else:
                continue
            sys.stdout.flush()
            start = time.perf_counter()
        sweep.wait()
        print(f"leaderboard, after the last job: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
