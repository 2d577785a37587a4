"""The result of a run, for Python programs and notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainyard.files import read_json

if TYPE_CHECKING:
    import pandas as pd
    from lightning import LightningModule


@dataclass(frozen=True)
class RunResult:
    """What a run left in its directory.

    Attributes:
        folder: the directory of the run.
        status: `completed`, `pruned`, `interrupted` or `failed`.
        metrics: the scores of the best epoch in validation, and those of the test, by name.
        objective: the value of the metric that selected the best epoch; `None` where the run has none yet.
    """

    folder: Path
    status: str
    metrics: dict[str, float]
    objective: float | None

    @classmethod
    def read(cls, folder: Path) -> "RunResult":
        """Return the result of the run in a directory.

        Raises:
            OSError, ValueError: there is no `result.json`, or it is damaged.
        """
        stored: dict[str, Any] = read_json(folder / "result.json")
        objective = stored.get("objective") or {}
        return cls(folder, stored["status"], stored.get("metrics") or {}, objective.get("value"))

    @property
    def curves(self) -> "pd.DataFrame":
        """The metrics in `metrics.csv`, indexed by the optimizer step; NaN where a metric was not logged at a step.

        Raises:
            OSError: the run has no `metrics.csv`; `logger=both` and `logger=csv` write it.
        """
        import pandas as pd

        return pd.read_csv(self.folder / "metrics.csv").set_index("step")

    def load_model(self, trusted_packages: Sequence[str] = ()) -> "LightningModule":
        """Return the best model in evaluation mode, on the CPU.

        Args:
            trusted_packages: packages whose classes the checkpoint may name, beside Trainyard's own.

        Raises:
            ConfigError: there is no checkpoint, or it names a class that is not trusted.
        """
        from trainyard.load_model import load_model

        return load_model(self.folder / "checkpoints" / "best.ckpt", trusted_packages)
