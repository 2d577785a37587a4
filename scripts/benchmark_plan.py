"""Accuracy of the estimates of `sweep.plan=true`: `python scripts/benchmark_plan.py`.

Plans and then runs three grids of 24 jobs. Prints the estimated and the actual seconds and MiB of each round, and the
median of the ratios.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark_helpers import print_table

ROUNDS, SLOTS = 3, 2
GRIDS = {
    "digits, mlp and cnn": "model=mlp,cnn optimizer=sgd,adam,rmsprop seed=range(4) trainer.max_epochs=10",
    "digits, mlps of three sizes": "model.hidden_dims=[64],[256],[512,512] seed=range(8) trainer.max_epochs=20",
    "shapes, cnn": "data=shapes data.count=600 model=cnn augment=none,standard seed=range(12) trainer.max_epochs=2",
}
ESTIMATE = re.compile(r"about ([\d.]+) (s|min), ([\d.]+) MiB of disk")
COLUMNS = ("actual s", "ratio", "estimated MiB", "actual MiB", "ratio ", "planning s")


def run_sweep(overrides: list[str], folder: Path) -> tuple[float, str]:
    """Return the seconds of a sweep command, and its output."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "trainyard", "-m", *overrides, f"hydra.launcher.slots={SLOTS}"]
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, output


def measure(overrides: list[str]) -> tuple[float, list[str]]:
    """Plan a sweep and run it; return the ratio of the seconds, and a row of the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planning, output = run_sweep([*overrides, "sweep.plan=true"], folder)
        found = ESTIMATE.search(output)
        assert found is not None, output
        actual, _ = run_sweep(overrides, folder)
        actual_mib = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    estimated, estimated_mib = float(found[1]) * (60 if found[2] == "min" else 1), float(found[3])
    times = [f"{estimated:.0f}", f"{actual:.1f}", f"{estimated / actual:.2f}"]
    sizes = [f"{estimated_mib:.1f}", f"{actual_mib:.1f}", f"{estimated_mib / actual_mib:.2f}"]
    return estimated / actual, [*times, *sizes, f"{planning:.1f}"]


def main() -> None:
    """Print a table for each grid."""
    for name, overrides in GRIDS.items():
        rounds = [measure(overrides.split()) for _ in range(ROUNDS)]
        print(name)
        print_table("estimated s", COLUMNS, [row for _, row in rounds])
        print(f"median ratio of the seconds: {statistics.median(ratio for ratio, _ in rounds):.2f}\n")


if __name__ == "__main__":
    main()
