"""Which of two runs is better, and whether by more than noise, as far as two runs can tell."""

import math

import numpy as np

from trainyard.history.data_changes import fingerprint_of
from trainyard.history.saved_predictions import SavedPredictions, read_predictions
from trainyard.stored.run import StoredRun

ERRORS = 2  # standard errors that a difference has to exceed
METRIC = "val/acc"


def score_line(one: StoredRun, other: StoredRun) -> str:
    """Return the validation scores of two runs, A and B, and what their difference is worth."""
    unscored = [f"{name} {fate(run)}" for name, run in (("A", one), ("B", other)) if METRIC not in run.metrics]
    if unscored:
        return f"no scores to compare: {', '.join(unscored)}"
    ours, theirs = one.metrics[METRIC], other.metrics[METRIC]
    line = f"{METRIC} {ours:.4f} and {theirs:.4f}"
    if ours == theirs:
        return f"{line}: the same{losses(one, other)}"
    better = f"{'A' if ours > theirs else 'B'} is better by {abs(ours - theirs):.4f}"
    found = noise(one, other)
    if found is None:
        return f"{line}: {better}; on how many examples is not known{losses(one, other)}"
    error, basis = found
    worth = "more" if abs(ours - theirs) > ERRORS * error else "less"
    return f"{line}: {better}, {worth} than the noise of {ERRORS * error:.4f} ({basis}){losses(one, other)}"


def fate(run: StoredRun) -> str:
    """Return how a run without scores ended."""
    error = str(run.result.get("error") or "").splitlines()
    return f"is {run.status}" + (f" ({error[0][:100]})" if error else "")


def losses(one: StoredRun, other: StoredRun) -> str:
    """Return the scores of the objective, where a run was chosen by another."""
    names = {str(run.result["objective"]["name"]) for run in (one, other)} - {METRIC}
    return "".join(f"; {name} {one.metrics[name]:.4f} and {other.metrics[name]:.4f}" for name in sorted(names))


def noise(one: StoredRun, other: StoredRun) -> tuple[float, str] | None:
    """Return the standard error of the difference of two accuracies, and what it rests on.

    Where both runs kept their predictions of the same examples, it comes from those that one alone got right
    (McNemar); else each accuracy has its binomial error, which is larger since it does not know that the examples are
    the same.
    """
    kept = [read_predictions(run.folder) for run in (one, other)]
    same = same_examples(one, other)
    if same and kept[0] and kept[1] and np.array_equal(kept[0].labels, kept[1].labels):
        return paired(kept[0], kept[1]), f"{ERRORS} standard errors, paired on {len(kept[0].labels)} examples"
    counts = [(fingerprint_of(run) or {}).get("val", {}).get("examples") for run in (one, other)]
    known = [int(count or (len(found.labels) if found else 0)) for count, found in zip(counts, kept, strict=True)]
    if 0 in known:
        return None
    error = math.hypot(*(binomial(run.metrics[METRIC], n) for run, n in zip((one, other), known, strict=True)))
    basis = f"{known[0]} examples" if same else f"{known[0]} and {known[1]} examples, not the same ones"
    return error, f"{ERRORS} standard errors, {basis}"


def same_examples(one: StoredRun, other: StoredRun) -> bool:
    """Whether nothing says that two runs were validated on different examples."""
    ours, theirs = ((fingerprint_of(run) or {}).get("val") for run in (one, other))
    return ours is None or theirs is None or ours == theirs


def paired(one: SavedPredictions, other: SavedPredictions) -> float:
    """Return the standard error of the difference of two accuracies on the same examples."""
    gained = one.correct.astype(int) - other.correct
    return float(gained.std() / math.sqrt(len(gained)))


def binomial(accuracy: float, count: int) -> float:
    """Return the standard error of an accuracy on so many examples."""
    return math.sqrt(accuracy * (1 - accuracy) / count) if 0 <= accuracy <= 1 else math.nan
