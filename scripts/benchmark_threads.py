"""CPU and wall time of training by the number of threads: `python scripts/benchmark_threads.py [ROUNDS]`.

Each measurement is a process of `train.py`. Prints medians of interleaved rounds: seconds of wall time and of CPU time,
and the number of threads that was chosen by the work of a step (see `trainyard.run.threads`). Run it on an idle machine
and on a busy one: threads that wait for each other take turns with the other programs.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmark_helpers import print_table, process_times
from training_loops import mnist_overrides, write_mnist

from trainyard.io.files import read_json
from trainyard.io.resources import available_cores

ROUNDS = 5
REPOSITORY = Path(__file__).parents[1]
SHORT = ["+trainer.limit_train_batches=100", "+trainer.limit_val_batches=0.1", "trainer.max_epochs=2"]


def runs(mnist: Path) -> dict[str, list[str]]:
    """Return the overrides of each run by its name."""
    large = [*mnist_overrides(mnist), *SHORT]
    return {
        "penguins": ["experiment=penguins"],
        "digits mlp": ["trainer.max_epochs=20"],
        "digits cnn": ["model=cnn", "trainer.max_epochs=5"],
        "mnist mlp, 200 steps": large,
        "mnist cnn, 200 steps": ["model=cnn", *large],
    }


def measure(overrides: list[str], folder: Path, threads: int | None) -> tuple[float, float]:
    """Return the wall and CPU seconds of a run; `threads` of `None` lets Trainyard choose."""
    environment = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    command = [str(REPOSITORY / "train.py"), *overrides, f"hydra.run.dir={folder}"]
    return process_times(command, REPOSITORY, **environment)


def format_times(times: list[tuple[float, float]]) -> str:
    """Return the medians of wall time and CPU time."""
    seconds, cpu = zip(*times, strict=True)
    return f"{statistics.median(seconds):.1f} / {statistics.median(cpu):.1f}"


def main() -> None:
    """Print a row for each run."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.pop(name, None)
    counts = {"1 thread": 1, f"{available_cores()} threads": available_cores(), "chosen": None}
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_mnist(root)
        for name, overrides in runs(root).items():
            times: dict[str, list[tuple[float, float]]] = {count: [] for count in counts}
            for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
                for count, threads in counts.items():
                    times[count].append(measure(overrides, root / f"{len(rows)}-{threads}-{number}", threads))
            chosen = read_json(root / f"{len(rows)}-None-0" / "provenance.json")["hardware"]["threads"]
            rows.append([name, *map(format_times, times.values()), str(chosen)])
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print_table(f"wall / CPU seconds, load {load}", [*counts, "threads"], rows)


if __name__ == "__main__":
    main()
