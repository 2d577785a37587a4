"""A small table with columns of every kind, and its data source."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainyard.data.sources.table import Table

N = 80


def frame(seed: int = 0) -> pd.DataFrame:
    """Alternating classes; `b` and `town` lack values, `town` has many levels, and `rare` a level that occurs once."""
    draws = np.random.default_rng(seed)
    kind = np.arange(N) % 2
    a, b = draws.normal(kind * 3, 1, N) + 100, draws.normal(kind, 1, N) * 50
    b[draws.permutation(N)[:9]] = np.nan
    town = draws.choice([*(f"t{i}" for i in range(20)), None], N)
    colour = draws.choice(["red", "green"], N)
    rare = np.where(np.arange(N) == 7, "once", "often")
    target = np.where(kind, "wide", "narrow")
    return pd.DataFrame({"a": a, "b": b, "colour": colour, "town": town, "rare": rare, "kind": target})


def source(folder: Path, data: pd.DataFrame, test: pd.DataFrame | None = None, **options: Any) -> Table:
    """Write tables to files and return their data source."""
    data.to_csv(folder / "train.csv", index=False)
    if test is not None:
        test.to_csv(folder / "test.csv", index=False)
        options["test_path"] = str(folder / "test.csv")
    return Table(str(folder / "train.csv"), **{"target": "kind", "batch_size": 8, **options})
