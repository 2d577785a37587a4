"""Losses, metrics and predictions of each task, compared with torchmetrics."""

import pytest
import torch
from torch.nn import functional as F
from torchmetrics.functional import mean_absolute_error, mean_squared_error, r2_score
from torchmetrics.functional.classification import multilabel_f1_score

from trainyard.data.loading.target import Classes, Labels, Numbers, Target, strata, target_from_dict, target_to_dict
from trainyard.io.errors import ConfigError
from trainyard.tasks.build import build_task
from trainyard.tasks.metrics import compute_metrics
from trainyard.tasks.task import Task

DRAWS = torch.Generator().manual_seed(0)
TARGETS = [
    Classes(("a", "b"), (0.5, 1.5)),
    Numbers(("price", "area"), (1.0, 2.0), (3.0, 4.0), "log"),
    Labels(("red", "round")),
]


def scores_in_batches(task: Task, outputs: torch.Tensor, targets: torch.Tensor, size: int = 7) -> dict[str, float]:
    """Return the scores of an epoch whose batches have this size."""
    pairs = list(zip(outputs.split(size), targets.split(size), strict=True))
    loss = sum(float(task.loss(*pair, training=False)) for pair in pairs)
    totals = torch.stack([task.totals(*pair) for pair in pairs]).sum(dim=0)
    return task.scores(loss, totals.tolist(), len(targets))


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_is_stored_as_primitives(target: Target) -> None:
    stored = target_to_dict(target)
    assert target_from_dict(stored) == target
    assert all(isinstance(value, str | list) for value in stored.values())


def test_classification() -> None:
    logits, labels = torch.randn(50, 3, generator=DRAWS), torch.randint(0, 3, (50,), generator=DRAWS)
    task = build_task(Classes(("a", "b", "c"), (1.0, 2.0, 0.5)), label_smoothing=0.1)
    scores = scores_in_batches(task, logits, labels)
    assert scores["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)
    assert scores["acc"] == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    expected = F.cross_entropy(logits, labels, torch.tensor([1.0, 2.0, 0.5]), reduction="sum", label_smoothing=0.1)
    assert float(task.loss(logits, labels, training=True)) == pytest.approx(float(expected), rel=1e-6)
    assert task.predictions(logits).sum(dim=1) == pytest.approx(torch.ones(50))


@pytest.mark.parametrize("transform", ["none", "log"])
def test_regression_scores_are_in_the_units_of_the_data(transform: str) -> None:
    values = torch.rand(60, 2, generator=DRAWS) * torch.tensor([10.0, 3.0]) + torch.tensor([1000.0, 1.0])
    base = values.log() if transform == "log" else values
    mean, std = base.mean(dim=0), base.std(dim=0)
    task = build_task(Numbers(("x", "y"), tuple(mean.tolist()), tuple(std.tolist()), transform))
    outputs = (base - mean) / std + 0.3 * torch.randn(60, 2, generator=DRAWS)
    predicted = task.predictions(outputs)
    scores = scores_in_batches(task, outputs, values)
    each = [(predicted[:, place], values[:, place]) for place in range(2)]
    rmse = [float(mean_squared_error(*pair, squared=False)) for pair in each]
    mae = [float(mean_absolute_error(*pair)) for pair in each]
    r2 = [float(r2_score(*(part.double() for part in pair))) for pair in each]
    assert [scores["rmse_x"], scores["rmse_y"]] == pytest.approx(rmse, rel=1e-4)
    assert [scores["mae_x"], scores["mae_y"]] == pytest.approx(mae, rel=1e-4)
    assert [scores["r2_x"], scores["r2_y"]] == pytest.approx(r2, abs=1e-3)
    assert scores["rmse"] == pytest.approx(sum(rmse) / 2, rel=1e-4)
    expected = F.mse_loss(outputs, (base - mean) / std)
    assert scores["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_one_number_has_no_scores_by_name() -> None:
    task = build_task(Numbers(("x",), (0.0,), (1.0,)))
    values = torch.randn(9, 1, generator=DRAWS)
    assert scores_in_batches(task, values, values) == {"rmse": 0.0, "mae": 0.0, "r2": 1.0, "loss": 0.0}


def test_labels() -> None:
    logits = torch.randn(80, 4, generator=DRAWS)
    labels = (torch.rand(80, 4, generator=DRAWS) < 0.3).float()
    scores = scores_in_batches(build_task(Labels(tuple("abcd"))), logits, labels)
    for name, average in (("f1", "micro"), ("f1_macro", "macro")):
        expected = multilabel_f1_score(logits, labels.long(), num_labels=4, average=average)
        assert scores[name] == pytest.approx(float(expected), rel=1e-5)
    assert scores["acc"] == pytest.approx(float(((logits > 0) == (labels > 0)).all(dim=1).float().mean()))
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert scores["loss"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("target", TARGETS[1:])
def test_only_classes_can_be_smoothed(target: Target) -> None:
    with pytest.raises(ConfigError, match=r"model\.label_smoothing=0\.1"):
        build_task(target, label_smoothing=0.1)


def test_numbers_are_split_by_quantiles() -> None:
    values = torch.rand(200, 1, generator=DRAWS)
    groups = strata(values)
    assert groups.bincount().tolist() == [20] * 10
    assert float(values[groups == 0].max()) < float(values[groups == 1].min())
    assert torch.equal(strata(torch.tensor([2, 0, 1])), torch.tensor([2, 0, 1]))
    labels = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert strata(labels)[0] == strata(labels)[2] != strata(labels)[1]


def test_a_single_label() -> None:
    task = build_task(Labels(("spam",)), {"metrics": {"auroc": {"_target_": "torchmetrics.AUROC"}}})
    probabilities, present = torch.tensor([[0.9], [0.2], [0.6], [0.4]]), torch.tensor([[1.0], [0.0], [0.0], [1.0]])
    assert compute_metrics(task, probabilities, present) == pytest.approx({"average_precision": 5 / 6, "auroc": 0.75})
    assert task.choose_thresholds(probabilities, present)
    assert task.scores(0.0, task.totals(probabilities.logit(), present).tolist(), 4)["f1"] == pytest.approx(0.8)
