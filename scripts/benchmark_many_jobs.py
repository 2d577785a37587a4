"""What a sweep costs that has many jobs: `python scripts/benchmark_many_jobs.py`.

A thousand jobs that do next to nothing, two at a time. Prints, hundred by hundred, the seconds of a job, the memory of
the process that runs the sweep, and the bytes that the journal grew by.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS, PART = 1000, 100
TRIVIAL = ("model.hidden_dims=[4]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")
DONE = re.compile(r"\[(\d+)/\d+\]")


def memory_of(pid: int) -> float:
    """Return the memory that a process has taken at most so far, in MiB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Run the sweep and print a line for each hundred jobs."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*TRIVIAL, f"seed=range({JOBS})", "sweep.name=many", "hydra.launcher.slots=2"]
        started = time.perf_counter()
        sweep = subprocess.Popen(
            [sys.executable, "-u", "-m", "trainyard", "-m", *words], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        journal = Path(folder) / "outputs" / "sweeps" / "many" / "journal.log"
        written, lines = 0, sweep.stdout
        assert lines is not None
        print(f"{'jobs':>5} {'s/job':>7} {'memory MiB':>11} {'journal bytes/job':>18}", flush=True)
        for line in lines:
            done = int(found[1]) if (found := DONE.match(line)) else -1
            if done == 1:
                print(f"all jobs checked, and the first one done, in {time.perf_counter() - started:.1f} s")
                started = time.perf_counter()
            elif done % PART == 0 and done > 0:
                seconds, size = time.perf_counter() - started, journal.stat().st_size
                grown = (size - written) / PART
                print(f"{done:>5} {seconds / PART:>7.3f} {memory_of(sweep.pid):>11.0f} {grown:>18.0f}", flush=True)
                started, written = time.perf_counter(), size
        sweep.wait()
        print(f"the leaderboard, after the last job: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
