"""How long it takes to look at a config, beside an empty Hydra app: `python scripts/benchmark_startup.py`.

Runs `train.py --cfg job`, `--help` and a tab completion in turn with the same of an app that has no config at all, each
a whole process, and prints medians and their ratio.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 15
EMPTY_APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    pass

main()
"""
LOOKS = {"--cfg job": ["--cfg", "job"], "--help": ["--help"], "tab completion": ["-sc", "query=bash"]}


def seconds(program: Path, words: list[str]) -> float:
    """Return the wall time of one process in seconds."""
    line = f"python {program.name} model="
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    started = time.perf_counter()
    command = [sys.executable, str(program), *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=REPOSITORY)
    return time.perf_counter() - started


def main() -> None:
    """Print a row for each way to look."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.write_text(EMPTY_APP, encoding="utf-8")
        print(f"{'median of ' + str(ROUNDS):<16} {'train.py':>9} {'empty app':>10} {'ratio':>6}")
        for name, words in LOOKS.items():
            rounds = [(seconds(REPOSITORY / "train.py", words), seconds(empty, words)) for _ in range(ROUNDS)]
            ours, theirs = (statistics.median(times) for times in zip(*rounds, strict=True))
            print(f"{name:<16} {ours:>7.3f} s {theirs:>8.3f} s {ours / theirs:>6.2f}")


if __name__ == "__main__":
    main()
