"""Compares the scores of two runs, and accuracies with the noise of their difference; without importing torch."""

import math
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainyard.config.objective import Objective
from trainyard.history.stored_run import StoredRun
from trainyard.io.files import MAX_TABLE, open_regular

FILE = Path("predictions") / "val.npz"
ERRORS = 2  # standard errors that a difference has to exceed
METRIC = "val/acc"


@dataclass(frozen=True)
class SavedPredictions:
    """Labels and predicted probabilities of the validation examples at the best epoch.

    Attributes:
        classes: names of the K classes.
        labels: int64 `[N]`.
        probabilities: float32 `[N, K]`.
    """

    classes: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is correct, bool `[N]`."""
        correct: NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.labels
        return correct


def read_predictions(folder: Path) -> SavedPredictions | None:
    """Return the predictions in a run directory; `None` if there are none or they cannot be read."""
    try:
        with open_regular(folder / FILE, MAX_TABLE) as file, np.load(file, allow_pickle=False) as saved:
            labels = saved["labels"].astype(np.int64)
            probabilities = saved["probabilities"].astype(np.float32)
            classes = [str(name) for name in saved["classes"]]
    except (OSError, ValueError, KeyError, MemoryError, zipfile.BadZipFile):
        return None
    fits = probabilities.shape == (len(labels), len(classes))
    return SavedPredictions(classes, labels, probabilities) if fits else None


def compare_scores(one: StoredRun, other: StoredRun) -> str:
    """Return the validation scores of two runs, A and B, and whether their difference is significant."""
    metric = METRIC if METRIC in one.metrics and METRIC in other.metrics else objective_of(one) or objective_of(other)
    if unscored := [
        f"{name} {describe_ending(run)}" for name, run in (("A", one), ("B", other)) if metric not in run.metrics
    ]:
        return f"no scores to compare: {', '.join(unscored)}"
    left, right = one.metrics[metric], other.metrics[metric]
    objectives = {name for run in (one, other) if (name := objective_of(run)) in {*one.metrics} & {*other.metrics}}
    objectives -= {metric}
    more = "".join(f"; {name} {one.metrics[name]:.4f} and {other.metrics[name]:.4f}" for name in sorted(objectives))
    line = f"{metric} {left:.4f} and {right:.4f}"
    if left == right:
        return f"{line}: the same{more}"
    if metric != METRIC:
        objective = Objective.from_stored({"objective": metric, "objective_mode": one.section("objective_mode")})
        return f"{line}: {'A' if objective.is_better(left, right) else 'B'} is better by {abs(left - right):.4f}{more}"
    better = f"{'A' if left > right else 'B'} is better by {abs(left - right):.4f}"
    error, basis = estimate_error(one, other)
    if math.isnan(error):
        return f"{line}: {better}; the number of examples is unknown{more}"
    size = "more" if abs(left - right) > ERRORS * error else "less"
    return f"{line}: {better}, {size} than the noise of {ERRORS * error:.4f} ({ERRORS} standard errors, {basis}){more}"


def objective_of(run: StoredRun) -> str:
    """Return the name of a run's objective; empty without a result."""
    objective = run.result.get("objective")
    return str(objective["name"]) if isinstance(objective, dict) else ""


def describe_ending(run: StoredRun) -> str:
    """Return how a run without scores ended."""
    error = str(run.result.get("error") or "").splitlines()
    return f"is {run.status}" + (f" ({error[0][:100]})" if error else "")


def estimate_error(one: StoredRun, other: StoredRun) -> tuple[float, str]:
    """Return the standard error of the difference of two accuracies, NaN if unknown, and what it is based on.

    If both runs saved predictions of the same examples, it is computed from the examples that only one of them
    classified correctly (McNemar). Otherwise both accuracies have independent binomial errors, which is larger.
    """
    saved = [read_predictions(run.folder) for run in (one, other)]
    same = have_same_examples(one, other)
    if same and saved[0] and saved[1] and np.array_equal(saved[0].labels, saved[1].labels):
        gained = saved[0].correct.astype(int) - saved[1].correct
        return float(gained.std() / math.sqrt(len(gained))), f"paired on {len(gained)} examples"
    counts = [(run.fingerprint or {}).get("val", {}).get("examples") for run in (one, other)]
    sizes = [int(count or (len(found.labels) if found else 0)) for count, found in zip(counts, saved, strict=True)]
    if 0 in sizes:
        return math.nan, ""
    error = math.hypot(*(binomial_error(run.metrics[METRIC], n) for run, n in zip((one, other), sizes, strict=True)))
    return error, f"{sizes[0]} examples" if same else f"{sizes[0]} and {sizes[1]} examples, not the same ones"


def have_same_examples(one: StoredRun, other: StoredRun) -> bool:
    """Return whether two runs may have been validated on the same examples, by their fingerprints."""
    left, right = ((run.fingerprint or {}).get("val") for run in (one, other))
    return left is None or right is None or left == right


def binomial_error(accuracy: float, count: int) -> float:
    """Return the standard error of an accuracy on a number of examples."""
    return math.sqrt(accuracy * (1 - accuracy) / count) if 0 <= accuracy <= 1 else math.nan
