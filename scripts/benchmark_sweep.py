"""Jobs a minute of a sweep: `python scripts/benchmark_sweep.py`.

Sixteen jobs, an mlp on the digits, 20 epochs each, in turn: with one slot, with two, as two stacks, and by Hydra's own
launcher over Lightning and a DataLoader as templates use them; each a process from its start to its end. Prints
medians, the cost of a job beside its training, and the ratios.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

JOBS, EPOCHS = 16, 20
LRS, SEEDS = "0.0003,0.001,0.003,0.01", "0,1,2,3"
ONE, TWO, STACKED, OTHER = "one slot", "two slots", "two stacks", "Hydra's launcher, plain Lightning"
EPOCH = re.compile(r"^(\S+ \S+) INFO .* epoch (\d+)/\d+ ", re.MULTILINE)


def seconds_of(words: list[str], folder: Path) -> float:
    """Return the seconds of a Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def ours(slots: int, folder: Path, launcher: str = "local") -> float:
    """Return the seconds of the sweep with so many slots."""
    grid = [f"optimizer.lr={LRS}", f"seed={SEEDS}", f"trainer.max_epochs={EPOCHS}", f"sweep.name={launcher}{slots}"]
    how = [f"hydra/launcher={launcher}", f"hydra.launcher.slots={slots}"]
    return seconds_of(["-m", "trainyard", "-m", *grid, *how], folder)


def in_training(folder: Path) -> float:
    """Return the seconds that a job trained, a mean, by the times in its log from the first epoch to the last."""
    spans = []
    for log in folder.glob("outputs/sweeps/local1/*/run.log"):
        found = EPOCH.findall(log.read_text(encoding="utf-8"))
        times = [datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f") for when, _ in found]
        spans.append((times[-1] - times[0]).total_seconds() * EPOCHS / (EPOCHS - 1))
    return statistics.mean(spans)


def measure() -> dict[str, float]:
    """Return the seconds of each way, in one round, and of a job's training."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        script = str(Path(__file__).with_name("plain_sweep.py").resolve())
        seconds = {ONE: ours(1, folder), TWO: ours(2, folder), STACKED: ours(2, folder, "stacked")}
        seconds[OTHER] = seconds_of([script, "-m", f"lr={LRS}", f"seed={SEEDS}", f"epochs={EPOCHS}"], folder)
        return {**seconds, "training": in_training(folder)}


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [measure() for _ in range(parser.parse_args().rounds)]
    print(f"{f'{JOBS} jobs, medians of {len(rounds)} rounds':<36} {'seconds':>8} {'jobs/min':>9}")
    for way in (ONE, TWO, STACKED, OTHER):
        seconds = statistics.median(times[way] for times in rounds)
        print(f"{way:<36} {seconds:>8.1f} {60 * JOBS / seconds:>9.0f}")
    beside = statistics.median(times[ONE] / JOBS - times["training"] for times in rounds)
    print(f"a job costs {beside:.2f} s beside its training, the sweep's own start and end included")
    pairs = [("two slots are", ONE, TWO), ("two stacks are", ONE, STACKED), ("two stacks are", TWO, STACKED)]
    pairs += [("one slot is", OTHER, ONE), ("two slots are", OTHER, TWO), ("two stacks are", OTHER, STACKED)]
    for name, one, other in pairs:
        ratio = statistics.median(times[one] / times[other] for times in rounds)
        print(f"{name} {ratio:.2f} times as fast as {one}")


if __name__ == "__main__":
    main()
