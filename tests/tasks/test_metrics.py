"""Metrics by name: which fit which task, and their values in runs, evaluations and several processes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional import classification as reference

from trainyard.config.composition import load_options, load_root
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.io.errors import ConfigError
from trainyard.tasks.build import build_task
from trainyard.tasks.metrics import compute_metrics, try_metric

DRAWS = torch.Generator().manual_seed(2)
OPTIONS = {name: dict(node) for option in load_options("metrics").values() for name, node in option.items()}
TARGETS: dict[str, Target] = {
    "two": Classes(("no", "yes")),
    "six": Classes(tuple("abcdef")),
    "number": Numbers(("x",), (0.0,), (1.0,)),
    "numbers": Numbers(("x", "y"), (0.0, 1.0), (1.0, 2.0)),
    "labels": Labels(("u", "v", "w")),
}
OF_CLASSES = {
    *("acc", "balanced_acc", "f1_macro", "precision_macro", "recall_macro"),
    *("auroc", "average_precision", "mcc", "kappa", "ece"),
}
OF_NUMBERS = {"rmse", "mae", "r2", "mape", "spearman"}
FITTING = {
    "two": OF_CLASSES | {"f1"},
    "six": OF_CLASSES | {"top5"},
    "number": OF_NUMBERS,
    "numbers": OF_NUMBERS,
    "labels": OF_CLASSES - {"kappa", "ece"} | {"f1"},
}


def values_of(target: Target, outputs: Tensor, targets: Tensor, *names: str, **options: Any) -> dict[str, float]:
    """Return the metrics of all examples of an epoch."""
    task = build_task(target, {"metrics": {name: OPTIONS[name] for name in names}, **options})
    return compute_metrics(task, task.predictions(outputs), targets)


@pytest.mark.parametrize("kind", TARGETS)
def test_each_metric_fits_some_tasks(kind: str) -> None:
    task = build_task(TARGETS[kind])
    fitting = {name for name, node in OPTIONS.items() if not isinstance(try_metric(node, task), Exception)}
    assert fitting == FITTING[kind]


def test_a_metric_that_does_not_fit_is_rejected_with_those_that_do() -> None:
    message = r"metrics=auroc: no metric of a number \(it is a metric of classification\)\n  accepted: "
    with pytest.raises(ConfigError, match=message) as error:
        build_task(TARGETS["number"], {"metrics": {"auroc": OPTIONS["auroc"]}})
    accepted = {*str(error.value).rpartition("accepted: ")[2].split(", ")}
    assert accepted == OF_NUMBERS | {"or a class of your own"}


@pytest.mark.parametrize("name", ["ROC", "ConfusionMatrix"])
@pytest.mark.parametrize("kind", ["two", "six", "labels"])
def test_a_metric_that_is_no_number_is_rejected(kind: str, name: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics=mine: no metric of \d (labels|classes) \(its value is not"):
        build_task(TARGETS[kind], {"metrics": {"mine": {"_target_": f"torchmetrics.{name}"}}})


@pytest.mark.parametrize("name", ["acc", "loss"])
def test_a_metric_with_the_name_of_another_is_rejected(name: str) -> None:
    node = {"_target_": "torchmetrics.HammingDistance"}
    with pytest.raises(ConfigError, match=f"metrics.{name}=.*: Classification computes another metric of this name"):
        build_task(TARGETS["six"], {"metrics": {name: node}})
    assert not build_task(TARGETS["six"], {"metrics": {"acc": OPTIONS["acc"]}}).metrics


def test_each_metric_has_a_known_mode() -> None:
    modes = load_root().metric_modes
    known = {name: mode for mode, names in modes.items() for name in names}
    assert {*OPTIONS, "loss"} == {*known}
    for target in TARGETS.values():
        config = {"metrics": {name: node for name, node in OPTIONS.items() if fits(target, name)}}
        task_modes = build_task(target, config).metric_modes()
        assert {name: known[name] for name in task_modes if name in known and task_modes[name]} == {
            name: mode for name, mode in task_modes.items() if name in known and mode
        }


def fits(target: Target, name: str) -> bool:
    """Return whether a metric fits a target."""
    return name in next(FITTING[kind] for kind, other in TARGETS.items() if other is target)


def test_metrics_of_several_classes() -> None:
    logits, labels = torch.randn(90, 6, generator=DRAWS), torch.randint(0, 6, (90,), generator=DRAWS)
    values = values_of(TARGETS["six"], logits, labels, "f1_macro", "auroc", "top5", "ece", "mcc", "balanced_acc")
    p = logits.softmax(1)
    assert values == pytest.approx(
        {
            "f1_macro": float(reference.multiclass_f1_score(p, labels, 6)),
            "auroc": float(reference.multiclass_auroc(p, labels, 6)),
            "top5": float((p.topk(5).indices == labels[:, None]).any(1).float().mean()),
            "ece": float(reference.multiclass_calibration_error(p, labels, 6)),
            "mcc": float(reference.multiclass_matthews_corrcoef(p, labels, 6)),
            "balanced_acc": float(np.mean([(p.argmax(1) == labels)[labels == k].float().mean() for k in range(6)])),
        },
        rel=1e-5,
    )


def test_metrics_of_two_classes_are_those_of_the_second() -> None:
    logits, labels = torch.randn(60, 2, generator=DRAWS), torch.randint(0, 2, (60,), generator=DRAWS)
    p = logits.softmax(1)[:, 1]
    values = values_of(TARGETS["two"], logits, labels, "f1", "average_precision", "auroc", "balanced_acc")
    assert values["f1"] == pytest.approx(float(reference.binary_f1_score(p, labels)), rel=1e-5)
    assert values["average_precision"] == pytest.approx(float(reference.binary_average_precision(p, labels)), rel=1e-5)
    assert values["auroc"] == pytest.approx(float(reference.binary_auroc(p, labels)), rel=1e-5)
    recalls = [((p > 0.5).long() == labels)[labels == k].float().mean() for k in (0, 1)]
    assert values["balanced_acc"] == pytest.approx(float(sum(recalls) / 2), rel=1e-5)


def test_metrics_use_the_threshold() -> None:
    logits, labels = torch.randn(60, 2, generator=DRAWS), torch.randint(0, 2, (60,), generator=DRAWS)
    p = logits.softmax(1)[:, 1]
    task = {"threshold": 0.2}
    values = values_of(TARGETS["two"], logits, labels, "f1", "mcc", "balanced_acc", "f1_macro", "auroc", **task)
    predicted = (p >= 0.2).long()
    assert values["f1"] == pytest.approx(float(reference.binary_f1_score(predicted, labels)), rel=1e-5)
    assert values["mcc"] == pytest.approx(float(reference.binary_matthews_corrcoef(predicted, labels)), rel=1e-5)
    macro = reference.multiclass_f1_score(predicted, labels, 2, average="macro")
    assert values["f1_macro"] == pytest.approx(float(macro), rel=1e-5)
    recalls = [(predicted == labels)[labels == k].float().mean() for k in (0, 1)]
    assert values["balanced_acc"] == pytest.approx(float(sum(recalls) / 2), rel=1e-5)
    assert values["auroc"] == pytest.approx(float(reference.binary_auroc(p, labels)), rel=1e-5)


def test_metrics_of_numbers_are_in_their_units() -> None:
    target = Numbers(("x",), (2.0,), (0.5,), "log")
    outputs = torch.randn(50, 1, generator=DRAWS)
    targets = (torch.randn(50, 1, generator=DRAWS) * 0.5 + 2).exp()
    predicted = (outputs * 0.5 + 2).exp()
    values = values_of(target, outputs, targets, "mape")
    assert values["mape"] == pytest.approx(float(((predicted - targets) / targets).abs().mean()), rel=1e-5)


def test_a_metric_with_several_values_has_one_for_each_name() -> None:
    logits, labels = torch.randn(60, 6, generator=DRAWS), torch.randint(0, 6, (60,), generator=DRAWS)
    node = {"_target_": "torchmetrics.Recall", "average": "none"}
    task = build_task(TARGETS["six"], {"metrics": {"recall": node}})
    values = compute_metrics(task, task.predictions(logits), labels)
    assert [*values] == [f"recall_{name}" for name in "abcdef"]
    correct = logits.argmax(1) == labels
    assert values["recall_c"] == pytest.approx(float(correct[labels == 2].float().mean()))
