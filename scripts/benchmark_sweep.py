"""Jobs per minute of a sweep: `python scripts/benchmark_sweep.py [--rounds N] [--only NAME ...]`.

Sixteen jobs of an mlp on the digits, 20 epochs with batches of 32: with one slot, two slots, one and two stacks, with
Hydra's launcher and plain Lightning (`plain_sweep.py`), and as a hand-written stack that writes no files
(`plain_stack.py`). Prints medians of whole processes in interleaved rounds: wall time, CPU time of all processes, and
ratios. CPU time depends less on the load of the machine.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmark_helpers import Rounds, median, median_ratio, print_table, process_times

JOBS, EPOCHS, BATCH = 16, 20, 32
LRS, SEEDS = "0.0003,0.001,0.003,0.01", "0,1,2,3"
ONE, STACK, PLAIN, HAND = "one slot", "one stack", "Hydra's launcher, plain Lightning", "hand-written stack"


def sweep(slots: int, launcher: str) -> list[str]:
    """Return the arguments of a sweep."""
    grid = [f"optimizer.lr={LRS}", f"seed={SEEDS}", f"trainer.max_epochs={EPOCHS}", f"data.batch_size={BATCH}"]
    return ["-m", "trainyard", "-m", *grid, f"hydra/launcher={launcher}", f"hydra.launcher.slots={slots}"]


def script(name: str, *arguments: str) -> list[str]:
    """Return the arguments for a script in this folder."""
    return [str(Path(__file__).with_name(name).resolve()), *arguments]


VARIANTS = {
    ONE: sweep(1, "local"),
    "two slots": sweep(2, "local"),
    STACK: sweep(1, "stacked"),
    "two stacks": sweep(2, "stacked"),
    PLAIN: script("plain_sweep.py", "-m", f"lr={LRS}", f"seed={SEEDS}", f"epochs={EPOCHS}", f"batch_size={BATCH}"),
    HAND: script("plain_stack.py", f"--epochs={EPOCHS}", f"--batch={BATCH}"),
}


def measure(names: Sequence[str]) -> dict[str, float]:
    """Return wall and CPU seconds of each variant in one round."""
    found = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found[name], found[f"{name} (CPU)"] = process_times(VARIANTS[name], Path(folder))
    return found


def print_results(rounds: Rounds, names: Sequence[str]) -> None:
    """Print medians, and ratios to the sweep in one stack."""
    base = STACK if STACK in names else names[0]
    rows = []
    for name in names:
        wall, cpu = median(rounds, name), median(rounds, f"{name} (CPU)")
        ratios = [median_ratio(rounds, f"{name}{kind}", f"{base}{kind}") for kind in ("", " (CPU)")]
        rows.append(
            (name, f"{wall:.1f}", f"{60 * JOBS / wall:.0f}", f"{cpu:.1f}", *(f"{ratio:.2f}" for ratio in ratios))
        )
    columns = ["seconds", "jobs/min", "CPU seconds", f"/ {base}", "CPU"]
    print_table(f"{JOBS} jobs, medians of {len(rounds)} rounds", columns, rows)


def run_rounds(names: Sequence[str], measure_round: Callable[[], dict[str, float]], rounds: int) -> None:
    """Print the results after each round, since a round may take minutes."""
    measured: Rounds = []
    for _ in range(rounds):
        measured.append(measure_round())
        print_results(measured, names)


def main() -> None:
    """Measure the rounds and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=[*VARIANTS])
    args = parser.parse_args()
    run_rounds(args.only, partial(measure, args.only), args.rounds)


if __name__ == "__main__":
    main()
