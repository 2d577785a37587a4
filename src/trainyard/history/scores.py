"""Which of two runs has the better accuracy, and whether the difference exceeds the noise."""

import math

import numpy as np

from trainyard.history.saved_predictions import read_predictions
from trainyard.history.stored_run import StoredRun

ERRORS = 2  # standard errors that a difference has to exceed
METRIC = "val/acc"


def score_line(one: StoredRun, other: StoredRun) -> str:
    """Return the validation scores of two runs, A and B, and whether their difference is significant."""
    if unscored := [f"{name} {ending(run)}" for name, run in (("A", one), ("B", other)) if METRIC not in run.metrics]:
        return f"no scores to compare: {', '.join(unscored)}"
    ours, theirs = one.metrics[METRIC], other.metrics[METRIC]
    objectives = {str(run.result["objective"]["name"]) for run in (one, other)} - {METRIC}
    more = "".join(f"; {name} {one.metrics[name]:.4f} and {other.metrics[name]:.4f}" for name in sorted(objectives))
    line = f"{METRIC} {ours:.4f} and {theirs:.4f}"
    if ours == theirs:
        return f"{line}: the same{more}"
    better = f"{'A' if ours > theirs else 'B'} is better by {abs(ours - theirs):.4f}"
    error, basis = standard_error(one, other)
    if math.isnan(error):
        return f"{line}: {better}; the number of examples is unknown{more}"
    worth = "more" if abs(ours - theirs) > ERRORS * error else "less"
    return f"{line}: {better}, {worth} than the noise of {ERRORS * error:.4f} ({ERRORS} standard errors, {basis}){more}"


def ending(run: StoredRun) -> str:
    """Return how a run without scores ended."""
    error = str(run.result.get("error") or "").splitlines()
    return f"is {run.status}" + (f" ({error[0][:100]})" if error else "")


def standard_error(one: StoredRun, other: StoredRun) -> tuple[float, str]:
    """Return the standard error of the difference of two accuracies, NaN if unknown, and what it is based on.

    If both runs saved predictions of the same examples, it is computed from the examples that only one of them
    classified correctly (McNemar). Otherwise both accuracies have independent binomial errors, which is larger.
    """
    saved = [read_predictions(run.folder) for run in (one, other)]
    same = same_examples(one, other)
    if same and saved[0] and saved[1] and np.array_equal(saved[0].labels, saved[1].labels):
        gained = saved[0].correct.astype(int) - saved[1].correct
        return float(gained.std() / math.sqrt(len(gained))), f"paired on {len(gained)} examples"
    counts = [(run.fingerprint or {}).get("val", {}).get("examples") for run in (one, other)]
    sizes = [int(count or (len(found.labels) if found else 0)) for count, found in zip(counts, saved, strict=True)]
    if 0 in sizes:
        return math.nan, ""
    error = math.hypot(*(binomial(run.metrics[METRIC], n) for run, n in zip((one, other), sizes, strict=True)))
    return error, f"{sizes[0]} examples" if same else f"{sizes[0]} and {sizes[1]} examples, not the same ones"


def same_examples(one: StoredRun, other: StoredRun) -> bool:
    """Return whether two runs may have been validated on the same examples, by their fingerprints."""
    ours, theirs = ((run.fingerprint or {}).get("val") for run in (one, other))
    return ours is None or theirs is None or ours == theirs


def binomial(accuracy: float, count: int) -> float:
    """Return the standard error of an accuracy on a number of examples."""
    return math.sqrt(accuracy * (1 - accuracy) / count) if 0 <= accuracy <= 1 else math.nan
