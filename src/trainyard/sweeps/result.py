"""Sweeps from Python programs and notebooks, and their results."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainyard.io.errors import ConfigError
from trainyard.run.run_result import RunResult
from trainyard.sweeps.stored import StoredSweep

if TYPE_CHECKING:
    import pandas as pd

STARTED = re.compile(r"sweep +(?P<folder>.+): \d+ jobs, \d+ to do\n")
INTERRUPTED = (129, 130, 143)  # exit codes after SIGHUP, SIGINT and SIGTERM


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        folder: the directory of the sweep.
        leaderboard: one row for each configuration, the best first; runs with other seeds share its row.
        jobs: results by number of the job, for jobs that have one.
    """

    folder: Path
    leaderboard: "pd.DataFrame"
    jobs: dict[int, RunResult]

    @classmethod
    def read(cls, folder: Path) -> "SweepResult":
        """Return the result of the sweep in a directory.

        Raises:
            OSError, ValueError: the leaderboard is missing, or a file is damaged.
        """
        import pandas as pd

        jobs = {job.number: RunResult.read(job.folder) for job in StoredSweep.find(str(folder)).jobs if job.result}
        return cls(folder, pd.read_csv(folder / "leaderboard.csv"), jobs)

    @property
    def best(self) -> RunResult:
        """The best run of the best configuration.

        Raises:
            LookupError: no job has completed.
        """
        row = StoredSweep.find(str(self.folder)).rows[0]
        if not row.scores:
            raise LookupError(f"no job of {self.folder} has completed")
        return self.jobs[row.best.number]


def sweep(overrides: Sequence[str], config_dir: str | Path | None = None) -> SweepResult:
    """Run a sweep as `trainyard -m OVERRIDES` does, print its output, and return its result.

    The same overrides resume a sweep that was interrupted. It runs in another process, so it also works in notebooks.

    Args:
        overrides: such as `["model=mlp,cnn", "seed=range(3)"]`.
        config_dir: folder of your own configs, as with `--config-dir`.

    Raises:
        ConfigError: the overrides are rejected, with the reason.
        KeyboardInterrupt: the sweep was interrupted.
    """
    own = [] if config_dir is None else ["--config-dir", str(config_dir)]
    command = [sys.executable, "-m", "trainyard", "-m", *own, *overrides]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode in INTERRUPTED:
        raise KeyboardInterrupt
    started = next(filter(None, map(STARTED.fullmatch, lines)), None)
    if started is None or not Path(started["folder"], "leaderboard.csv").is_file():
        raise ConfigError("".join(lines[-20:]).strip())
    return SweepResult.read(Path(started["folder"]))
