"""The result of a run, for Python programs and notebooks."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainyard.run.metrics_csv import TABLE, read_curves
from trainyard.run.run_directory import RESULT, read_result

if TYPE_CHECKING:
    import pandas as pd
    from lightning import LightningModule


@dataclass(frozen=True)
class RunResult:
    """The result of a run, read from its directory.

    Attributes:
        folder: the directory of the run.
        status: `completed`, `pruned`, `interrupted` or `failed`.
        metrics: validation scores of the best epoch, and test scores, by name.
        objective: the value of the metric that selected the best epoch; `None` if the run has none yet.
    """

    folder: Path
    status: str
    metrics: dict[str, float]
    objective: float | None

    @classmethod
    def read(cls, folder: Path) -> "RunResult":
        """Return the result of the run in a directory, or raise a ValueError if `result.json` is missing or damaged."""
        stored = read_result(folder)
        if not stored:
            raise ValueError(f"{folder / RESULT} is missing or damaged")
        objective = stored.get("objective") or {}
        return cls(folder, stored["status"], stored.get("metrics") or {}, objective.get("value"))

    @property
    def curves(self) -> "pd.DataFrame":
        """The columns of `metrics.csv` except durations, by optimizer step; NaN where a metric was not logged.

        Raises:
            OSError: the run has no `metrics.csv`; `logger=both` and `logger=csv` write it.
        """
        import pandas as pd

        if not (self.folder / TABLE).is_file():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(self.folder / TABLE))
        return pd.DataFrame(read_curves(self.folder)).sort_index().rename_axis("step")

    def load_model(self, trusted_packages: Sequence[str] = ()) -> "LightningModule":
        """Return the best model in evaluation mode, on the CPU.

        Args:
            trusted_packages: packages whose classes the run may name, in addition to Trainyard's.

        Raises:
            ConfigError: there is no checkpoint, or the run names a class that is not trusted.
        """
        from trainyard.run.rebuild import load_run_model

        return load_run_model(self.folder, trusted_packages)
