"""The threshold of a probability that maximises a metric on the validation examples."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trainyard.io.errors import config_error, join_limited

Count = Tensor  # of examples at each threshold, float64 `[M]`


def accuracy(tp: Count, fp: Count, fn: Count, tn: Count) -> Tensor:
    """Return the share of correct decisions."""
    return (tp + tn) / (tp + fp + fn + tn)


def balanced_accuracy(tp: Count, fp: Count, fn: Count, tn: Count) -> Tensor:
    """Return the mean of the recalls of both classes."""
    return (tp / (tp + fn).clamp(min=1) + tn / (tn + fp).clamp(min=1)) / 2


def f1_score(tp: Count, fp: Count, fn: Count, tn: Count | None = None) -> Tensor:
    """Return the harmonic mean of precision and recall, which does not depend on the true negatives; 0 without any."""
    return 2 * tp / (2 * tp + fp + fn).clamp(min=1)


def matthews_correlation(tp: Count, fp: Count, fn: Count, tn: Count) -> Tensor:
    """Return the correlation of decisions and classes; 0 if one of them is constant."""
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / product.clamp(min=1).sqrt()


CRITERIA: Mapping[str, Callable[[Count, Count, Count, Count], Tensor]] = {
    "acc": accuracy,
    "balanced_acc": balanced_accuracy,
    "f1": f1_score,
    "mcc": matthews_correlation,
}


def check_threshold(threshold: float | str | None) -> str:
    """Return the metric that chooses a threshold; empty if the threshold is given.

    Raises:
        ConfigError: it is neither a probability nor a known metric.
    """
    accepted = f"{join_limited(CRITERIA)}, or a number from 0 to 1"
    if isinstance(threshold, str) and threshold not in CRITERIA:
        raise config_error("task.threshold", threshold, "no metric that chooses a threshold", accepted)
    if isinstance(threshold, int | float) and not 0 <= threshold <= 1:
        raise config_error("task.threshold", threshold, "not a probability", accepted)
    return threshold if isinstance(threshold, str) else ""


def best_threshold(probabilities: Tensor, positive: Tensor, criterion: str) -> float:
    """Return the threshold that maximises a metric: halfway between the probabilities on both sides of the best cut.

    Of several best cuts, it is the one nearest to 0.5. Without positive or negative examples, it is 0.5.

    Args:
        probabilities: of the positive class, `[N]`.
        positive: whether each example is positive, bool `[N]`.
        criterion: a name of `CRITERIA`.
    """
    if positive.all() or not positive.any():
        return 0.5
    values, order = probabilities.cpu().sort(descending=True)
    present = positive.cpu()[order].double()
    highest = values[:1].nextafter(values.new_tensor(2.0)).clamp(min=1)  # no probability reaches it
    above, below = torch.cat([highest, values]), torch.cat([values, values.new_zeros(1)])
    tp, predicted = torch.cat([present.new_zeros(1), present.cumsum(0)]), torch.arange(len(values) + 1)
    counts = tp, predicted - tp, present.sum() - tp, len(values) - predicted - present.sum() + tp
    cuts = above > below  # equal probabilities are on the same side
    cuts[-1] = True  # all examples are predicted by the threshold 0, too
    middle = (above + below) / 2
    thresholds = torch.where(middle > below, middle, above)[cuts]  # rounding may reach the lower probability
    scores = CRITERIA[criterion](*counts)[cuts]
    best = thresholds[scores == scores.max()]
    return float(best[(best - 0.5).abs().argmin()])
