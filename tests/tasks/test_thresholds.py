"""The threshold that maximises a metric, compared with a search over all thresholds."""

import pytest
import torch
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_f1_score,
    binary_matthews_corrcoef,
    binary_recall,
    binary_specificity,
)

from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.io.errors import ConfigError
from trainyard.tasks.build import build_task
from trainyard.tasks.thresholds import CRITERIA, best_threshold

REFERENCE = {
    "acc": binary_accuracy,
    "balanced_acc": lambda p, y: (binary_recall(p, y) + binary_specificity(p, y)) / 2,
    "f1": binary_f1_score,
    "mcc": binary_matthews_corrcoef,
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better(criterion: str, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    positive = torch.rand(50, generator=draws) < 0.3
    scores = (torch.randn(50, generator=draws) + positive).sigmoid().mul(20).round().div(20)  # with ties
    threshold = best_threshold(scores, positive, criterion)
    found = REFERENCE[criterion]((scores >= threshold).long(), positive.long())
    for other in torch.linspace(0, 1.01, 203):
        assert float(REFERENCE[criterion]((scores >= other).long(), positive.long())) <= float(found) + 1e-6


def test_the_threshold_is_halfway_between_examples() -> None:
    scores = torch.tensor([0.1, 0.2, 0.8, 0.9])
    assert best_threshold(scores, torch.tensor([False, False, True, True]), "f1") == pytest.approx(0.5)
    assert best_threshold(scores, torch.tensor([False, True, True, True]), "f1") == pytest.approx(0.15)
    assert best_threshold(scores, torch.tensor([True] * 4), "f1") == 0.5


def test_predicting_no_example_or_all_may_be_the_best() -> None:
    rare = torch.tensor([True, False, False, False, False])
    low = torch.tensor([0.1, 0.4, 0.3, 0.2, 0.05])
    assert best_threshold(low, rare, "acc") == pytest.approx(0.7)
    certain = torch.tensor([0.1, 1.0, 1.0, 1.0, 0.0])
    assert not (certain >= best_threshold(certain, rare, "acc")).any()
    assert (torch.zeros(5) >= best_threshold(torch.zeros(5), ~rare, "f1")).all()


def test_the_threshold_separates_neighbouring_floats() -> None:
    low = torch.tensor(1 - 2**-22)
    scores = torch.stack([low, low.nextafter(torch.tensor(0.0)), low.nextafter(torch.tensor(1.0))])
    for best in range(3):
        positive = scores >= scores[best]
        assert positive.equal(scores >= best_threshold(scores, positive, "f1")) or positive.all()


@pytest.mark.parametrize(
    ("target", "threshold", "message"),
    [
        (Classes(("a", "b")), "recall", "task.threshold=recall: no metric that chooses a threshold"),
        (Classes(("a", "b")), 1.5, "task.threshold=1.5: not a probability"),
        (Classes(("a", "b", "c")), "f1", "task.threshold=f1: the target has 3 classes"),
        (Numbers(("x",), (0.0,), (1.0,)), "f1", "task.threshold=f1: a task of regression has no such option"),
        (Labels(("a", "b")), "best", "task.threshold=best: no metric that chooses a threshold"),
    ],
)
def test_invalid_thresholds(target: Classes | Numbers | Labels, threshold: str | float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_task(target, {"threshold": threshold})


def test_thresholds_are_restored() -> None:
    task = build_task(Labels(("a", "b")), {"threshold": "f1", "thresholds": [0.2, 0.7]})
    assert task.decisions(torch.tensor([[0.3, 0.6], [0.1, 0.8]])).tolist() == [[True, False], [False, True]]
    task = build_task(Classes(("a", "b")), {"threshold": 0.9})
    assert task.decisions(torch.tensor([[0.3, 0.7], [0.05, 0.95]])).tolist() == [0, 1]


@pytest.mark.parametrize(("threshold", "expected"), [(1, 1), (0, 0), (0.3, 0.3), (None, 0.5)])
def test_given_thresholds(threshold: float | None, expected: float) -> None:
    assert build_task(Labels(("a", "b")), {"threshold": threshold}).thresholds == [expected] * 2
    found = build_task(Classes(("a", "b")), {"threshold": threshold}).thresholds
    assert found == ([expected] if threshold is not None else [])
