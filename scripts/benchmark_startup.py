"""Duration of commands that do not train, compared with an empty Hydra app: `python scripts/benchmark_startup.py`.

Runs `train.py --cfg job`, `--help` and a tab completion, and the same with an app without a config. Prints medians of
whole processes in interleaved rounds, and their ratio.
"""

import tempfile
from functools import partial
from pathlib import Path

from benchmark_helpers import measure_rounds, median, print_table, time_python

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 15
EMPTY_APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    pass

main()
"""
COMMANDS = {"--cfg job": ["--cfg", "job"], "--help": ["--help"], "tab completion": ["-sc", "query=bash"]}


def process_seconds(program: Path, arguments: list[str]) -> float:
    """Return the duration of one process."""
    line = f"python {program.name} model="  # to complete
    return time_python([str(program), *arguments], REPOSITORY, COMP_LINE=line, COMP_POINT=str(len(line)))


def main() -> None:
    """Print a row for each command."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        empty_app = Path(folder) / "empty.py"
        empty_app.write_text(EMPTY_APP, encoding="utf-8")
        programs = {"train.py": REPOSITORY / "train.py", "empty app": empty_app}
        for name, arguments in COMMANDS.items():
            variants = {label: partial(process_seconds, program, arguments) for label, program in programs.items()}
            rounds = measure_rounds(variants, ROUNDS)
            train, empty = (median(rounds, label) for label in programs)
            rows.append([name, f"{train:.3f} s", f"{empty:.3f} s", f"{train / empty:.2f}"])
    print_table(f"median of {ROUNDS}", [*programs, "ratio"], rows)


if __name__ == "__main__":
    main()
