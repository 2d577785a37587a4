"""A table of numbers with labels that depend on them."""

from pathlib import Path

import numpy as np
import pandas as pd


def write_labels(folder: Path) -> Path:
    """Write a table with the inputs `a`, `b`, `c` and the labels u, v, w in the column `tags`; return its path."""
    draws = np.random.default_rng(0)
    x, noise = draws.normal(size=(300, 3)), draws.normal(size=(300, 3))
    tags = [";".join(np.array(["u", "v", "w"])[row]) or "[]" for row in x + 0.5 * noise > 0.4]
    path = folder / "labels.csv"
    pd.DataFrame(x, columns=["a", "b", "c"]).assign(tags=tags).to_csv(path, index=False)
    return path
