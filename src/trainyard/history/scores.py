"""Compares the scores of two runs, and accuracies with the noise of their difference; without importing torch."""

import math

import numpy as np

from trainyard.config.objective import Objective
from trainyard.history.saved_predictions import read_predictions
from trainyard.history.stored_run import StoredRun
from trainyard.terminal.formats import format_score

ERRORS = 2  # standard errors that a difference has to exceed
METRIC = "val/acc"


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
    more = "".join(
        f"; {name} {format_score(one.metrics[name])} and {format_score(other.metrics[name])}"
        for name in sorted(objectives)
    )
    line = f"{metric} {format_score(left)} and {format_score(right)}"
    if left == right:
        return f"{line}: the same{more}"
    if metric != METRIC:
        objective = Objective.from_stored({"objective": metric, "objective_mode": one.section("objective_mode")})
        better = f"{'A' if objective.is_better(left, right) else 'B'} is better by {format_score(abs(left - right))}"
        return f"{line}: {better}{more}"
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
    classes = [found for found in saved if found and found.targets.ndim == 1]
    if same and len(classes) == 2 and np.array_equal(classes[0].targets, classes[1].targets):
        correct = [found.predictions.argmax(axis=1) == found.targets for found in classes]
        gained = correct[0].astype(int) - correct[1]
        return float(gained.std() / math.sqrt(len(gained))), f"paired on {len(gained)} examples"
    counts = [(run.fingerprint or {}).get("val", {}).get("examples") for run in (one, other)]
    sizes = [int(count or (len(found.targets) if found else 0)) for count, found in zip(counts, saved, strict=True)]
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
