"""What a plan says and what a sweep then takes: `python scripts/benchmark_plan.py`.

Three grids of 24 jobs, each planned and then run, in turn, whole processes; prints seconds and MiB of both, and their
ratios.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROUNDS, SLOTS = 3, 2
GRIDS = {
    "digits, mlp and cnn": "model=mlp,cnn optimizer=sgd,adam,rmsprop seed=range(4) trainer.max_epochs=10",
    "digits, mlps of three sizes": "model.hidden_dims=[64],[256],[512,512] seed=range(8) trainer.max_epochs=20",
    "shapes, cnn": "data=shapes data.count=600 model=cnn augment=none,standard seed=range(12) trainer.max_epochs=2",
}
TOTAL = re.compile(r"about ([\d.]+) (s|min), ([\d.]+) MiB of disk")


def command(words: list[str], folder: Path) -> tuple[float, str]:
    """Return the seconds of a sweep's command, and what it said."""
    started = time.perf_counter()
    line = [sys.executable, "-m", "trainyard", "-m", *words, f"hydra.launcher.slots={SLOTS}"]
    said = subprocess.run(line, cwd=folder, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, said


@dataclass(frozen=True)
class Round:
    """Seconds and MiB of a sweep, as planned and as they were, and the seconds of the planning."""

    planning: float
    said: float
    took: float
    disk: float
    wrote: float

    def __str__(self) -> str:
        time_ratio, disk_ratio = self.said / self.took, self.disk / self.wrote
        seconds = f"{self.said:>9.0f} {self.took:>7.1f} {time_ratio:>6.2f}"
        return f"{seconds} {self.disk:>12.1f} {self.wrote:>10.1f} {disk_ratio:>6.2f} {self.planning:>11.1f}"


HEAD = "planned s  took s  ratio  planned MiB  wrote MiB  ratio  planning s"


def measure(words: list[str]) -> Round:
    """Plan a sweep, run it, and return what was said and what it took."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        planning, said = command([*words, "sweep.plan=true"], folder)
        found = TOTAL.search(said)
        assert found is not None, said
        took, _ = command(words, folder)
        wrote = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    return Round(planning, float(found[1]) * (60 if found[2] == "min" else 1), took, float(found[3]), wrote)


def main() -> None:
    """Print a line for each round, and the medians of the ratios."""
    for name, words in GRIDS.items():
        print(f"{name}\n{HEAD}")
        rounds = []
        for _ in range(ROUNDS):
            rounds.append(measure(words.split()))
            print(rounds[-1], flush=True)
        print(f"median ratio of the seconds {statistics.median(now.said / now.took for now in rounds):.2f}\n")


if __name__ == "__main__":
    main()
