"""Jobs per minute of a sweep: `python scripts/benchmark_sweep.py [--rounds N]`.

Sixteen jobs of an mlp on the digits, 20 epochs each: with one slot, two slots, two stacks, and with Hydra's launcher
and plain Lightning (`plain_sweep.py`). Prints medians of whole processes in interleaved rounds, the overhead per job,
and the ratios.
"""

import argparse
import re
import statistics
import tempfile
from datetime import datetime
from pathlib import Path

from benchmark_helpers import Rounds, median, median_ratio, print_table, time_python

JOBS, EPOCHS = 16, 20
LRS, SEEDS = "0.0003,0.001,0.003,0.01", "0,1,2,3"
ONE, TWO, STACKED, PLAIN = "one slot", "two slots", "two stacks", "Hydra's launcher, plain Lightning"
EPOCH = re.compile(r"^(\S+ \S+) INFO .* epoch (\d+)/\d+ ", re.MULTILINE)


def sweep_seconds(slots: int, folder: Path, launcher: str = "local") -> float:
    """Return the duration of the sweep with a number of slots."""
    grid = [f"optimizer.lr={LRS}", f"seed={SEEDS}", f"trainer.max_epochs={EPOCHS}", f"sweep.name={launcher}{slots}"]
    options = [f"hydra/launcher={launcher}", f"hydra.launcher.slots={slots}"]
    return time_python(["-m", "trainyard", "-m", *grid, *options], folder)


def training_seconds(folder: Path) -> float:
    """Return the mean training time of a job, from the times of the epochs in its log."""
    durations = []
    for log in folder.glob("outputs/sweeps/local1/*/run.log"):
        lines = EPOCH.findall(log.read_text(encoding="utf-8"))
        times = [datetime.strptime(time, "%Y-%m-%d %H:%M:%S,%f") for time, _ in lines]
        durations.append((times[-1] - times[0]).total_seconds() * EPOCHS / (EPOCHS - 1))
    return statistics.mean(durations)


def measure() -> dict[str, float]:
    """Return the seconds of each sweep in one round, and those of the training of a job."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        script = str(Path(__file__).with_name("plain_sweep.py").resolve())
        return {
            ONE: sweep_seconds(1, folder),
            TWO: sweep_seconds(2, folder),
            STACKED: sweep_seconds(2, folder, "stacked"),
            PLAIN: time_python([script, "-m", f"lr={LRS}", f"seed={SEEDS}", f"epochs={EPOCHS}"], folder),
            "training": training_seconds(folder),
        }


def print_results(rounds: Rounds) -> None:
    """Print the medians and ratios."""
    seconds = {name: median(rounds, name) for name in (ONE, TWO, STACKED, PLAIN)}
    rows = [(name, f"{value:.1f}", f"{60 * JOBS / value:.0f}") for name, value in seconds.items()]
    print_table(f"{JOBS} jobs, medians of {len(rounds)} rounds", ["seconds", "jobs/min"], rows)
    overhead = statistics.median(times[ONE] / JOBS - times["training"] for times in rounds)
    print(f"overhead per job, including start and end of the sweep: {overhead:.2f} s")
    for fast, slow in ((TWO, ONE), (STACKED, ONE), (STACKED, TWO), (ONE, PLAIN), (TWO, PLAIN), (STACKED, PLAIN)):
        print(f"speed of {fast} relative to {slow}: {median_ratio(rounds, slow, fast):.2f}x")


def main() -> None:
    """Measure the rounds and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    print_results([measure() for _ in range(parser.parse_args().rounds)])


if __name__ == "__main__":
    main()
