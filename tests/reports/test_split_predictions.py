"""The report of a user's own task is that of its kind of target."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.inference.evaluate import REPORTS
from trainyard.io.errors import ConfigError
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.reports.classification_report import ClassificationReport
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.label_report import LabelReport
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.regression_report import RegressionReport
from trainyard.reports.split_predictions import split_predictions
from trainyard.tasks.build import build_task


class Stub(nn.Module):
    """As much of a task as a report needs."""

    def __init__(self, target: Target, thresholds: Sequence[float] = ()) -> None:
        super().__init__()
        self.target, self.thresholds = target, thresholds


class MedianClass(Stub):
    """Predicts the median of ordered classes."""

    def decisions(self, predictions: Tensor) -> Tensor:
        return (predictions.cumsum(dim=1) < 0.5).sum(dim=1)


class Interval(Stub):
    """Predicts a lower bound, a middle and an upper bound of a number."""

    def decisions(self, predictions: Tensor) -> Tensor:
        return predictions[:, 1:2]


class TwoMostProbable(Stub):
    """Predicts the two most probable labels."""

    def decisions(self, predictions: Tensor) -> Tensor:
        return torch.zeros_like(predictions).scatter(1, predictions.topk(2).indices, 1.0)


PROBABILITIES = torch.tensor([[0.4, 0.2, 0.4], [0.45, 0.3, 0.25], [0.1, 0.2, 0.7]])


def test_classes_are_decided_by_the_task() -> None:
    labels = torch.tensor([1, 0, 2])
    found = split_predictions(MedianClass(Classes(("low", "middle", "high"))), PROBABILITIES, labels)
    assert isinstance(found, ClassPredictions)
    assert found.predicted.tolist() == [1, 1, 2], "the most probable ones are 0, 0 and 2"
    assert found.scores["acc"] == pytest.approx(2 / 3)
    assert found.threshold is None
    report = REPORTS[type(found)](
        predictions=found, name="r", checkpoint="c", examples="test split", scores={"test/acc": 2 / 3, "test/loss": 1.0}
    )
    assert isinstance(report, ClassificationReport)
    assert report.details()["confusion_matrix"] == [[0, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_numbers_are_decided_by_the_task() -> None:
    bounds, targets = torch.tensor([[1.0, 2.0, 5.0], [2.0, 4.0, 9.0]]), torch.tensor([[2.0], [3.0]])
    found = split_predictions(Interval(Numbers(("x",), (0.0,), (1.0,))), bounds, targets)
    assert isinstance(found, NumberPredictions)
    assert found.numbers.tolist() == [[2.0], [4.0]]
    assert found.scores["mae"] == 0.5
    report = REPORTS[type(found)](
        predictions=found, name="r", checkpoint="c", examples="test split", scores={"test/mae": 0.5}
    )
    assert isinstance(report, RegressionReport)


def test_labels_are_decided_by_the_task() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = split_predictions(TwoMostProbable(Labels(("a", "b", "c"))), PROBABILITIES, targets)
    assert isinstance(found, LabelPredictions)
    assert found.decisions.sum(dim=1).tolist() == [2, 2, 2]
    assert found.scores["f1"] == pytest.approx(10 / 11)
    report = REPORTS[type(found)](
        predictions=found, name="r", checkpoint="c", examples="test split", scores={"test/f1": 10 / 11}
    )
    assert isinstance(report, LabelReport)


@pytest.mark.parametrize(
    "target", [Classes(("a", "b")), Labels(("a", "b")), Numbers(("x", "y"), (0.0,) * 2, (1.0,) * 2)]
)
def test_predictions_of_another_shape_are_an_error_of_two_lines(target: Classes | Labels | Numbers) -> None:
    with pytest.raises(ConfigError) as error:
        split_predictions(Interval(target), PROBABILITIES, torch.zeros(3, 2))
    assert str(error.value).startswith("task=Interval: it predicts values of shape ")
    assert len(str(error.value).splitlines()) == 2


class Thresholds(Stub):
    """Predicts the second of two classes, or labels, from these probabilities."""

    def decisions(self, predictions: Tensor) -> Tensor:
        if len(self.thresholds) == 1:
            return (predictions[:, 1] >= self.thresholds[0]).long()
        return predictions >= torch.tensor(self.thresholds)


def test_thresholds_of_the_task_are_those_of_the_report() -> None:
    classes, probabilities, true = Classes(("no", "yes")), torch.tensor([[0.7, 0.3], [0.4, 0.6]]), torch.tensor([1, 1])
    plain = split_predictions(build_task(classes), probabilities, true)
    assert isinstance(plain, ClassPredictions)
    assert (plain.threshold, plain.predicted.tolist()) == (None, [0, 1])
    found = split_predictions(Thresholds(classes, [0.25]), probabilities, true)
    assert isinstance(found, ClassPredictions)
    assert (found.threshold, found.predicted.tolist()) == (0.25, [1, 1])
    chosen = split_predictions(Thresholds(Labels(("a", "b", "c")), [0.5, 0.25, 0.75]), PROBABILITIES, torch.ones(3, 3))
    assert isinstance(chosen, LabelPredictions)
    assert chosen.thresholds == (0.5, 0.25, 0.75)
    assert chosen.decisions.tolist() == [[False, False, False], [False, True, False], [False, False, False]]
