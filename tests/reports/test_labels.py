"""Scores, intervals and figures of predicted labels, compared with torchmetrics and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multilabel_average_precision,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Labels
from trainyard.history.saved_predictions import read_predictions
from trainyard.reports.classification_figures import ranking_figure
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.label_report import LabelReport, label_table
from trainyard.reports.mistakes import WorstExamples

NAMES = ("red", "round", "large", "soft")


def made_up(examples: int = 300, digits: int | None = None) -> LabelPredictions:
    """Return labels of different frequency; rounded to `digits`, many probabilities are equal."""
    draws = torch.Generator().manual_seed(0)
    targets = torch.rand(examples, 4, generator=draws) < torch.tensor([0.5, 0.3, 0.1, 0.05])
    logits = torch.randn(examples, 4, generator=draws) + 2 * targets - 1
    probabilities = logits.sigmoid() if digits is None else logits.sigmoid().round(decimals=digits)
    thresholds = (0.5, 0.4, 0.7, 0.2)
    return LabelPredictions(probabilities, targets, NAMES, probabilities >= torch.tensor(thresholds), thresholds)


SMALL = LabelPredictions(
    torch.tensor([[0.9, 0.2], [0.8, 0.7], [0.1, 0.6], [0.3, 0.1]]),
    torch.tensor([[True, True], [True, False], [True, True], [False, False]]),
    ("red", "round"),
    torch.tensor([[True, False], [True, True], [False, True], [False, False]]),
    (0.5, 0.5),
)


@pytest.mark.parametrize("digits", [None, 1])
def test_scores_are_those_of_torchmetrics(digits: int | None) -> None:
    found = made_up(digits=digits)
    scores, decided, targets = found.scores, found.decisions.long(), found.targets.long()
    for name, average in (("f1", "micro"), ("f1_macro", "macro")):
        expected = multilabel_f1_score(decided, targets, num_labels=4, average=average)
        assert scores[name] == pytest.approx(float(expected), rel=1e-6)
    average = multilabel_average_precision(found.probabilities, targets, num_labels=4)
    assert scores["average_precision"] == pytest.approx(float(average), rel=1e-5)
    loss = torch.nn.functional.binary_cross_entropy(found.probabilities.double(), found.targets.double())
    assert scores["loss"] == pytest.approx(float(loss), rel=1e-6)
    for place, metric in ((3, multilabel_precision), (4, multilabel_recall), (5, multilabel_f1_score)):
        expected = metric(decided, targets, num_labels=4, average=None)
        assert [row[place] for row in found.label_scores] == pytest.approx(expected.tolist(), rel=1e-5)
    each = multilabel_average_precision(found.probabilities, targets, num_labels=4, average=None)
    assert [row.average_precision for row in found.label_scores] == pytest.approx(each.tolist(), rel=1e-5)


def test_scores_by_hand() -> None:
    assert SMALL.scores["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert SMALL.scores["f1_macro"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert SMALL.scores["acc"] == 0.25
    assert SMALL.scores["average_precision"] == pytest.approx(((1 + 1 + 3 / 4) / 3 + (1 / 2 + 2 / 3) / 2) / 2)
    assert SMALL.label_scores[1] == pytest.approx(("round", 2, 0.5, 0.5, 0.5, 0.5, 7 / 12))


def test_a_label_without_examples() -> None:
    found = LabelPredictions(SMALL.probabilities, SMALL.targets & torch.tensor([True, False]), *(
        ("red", "round"), SMALL.decisions, (0.5, 0.5)
    ))  # fmt: skip
    assert found.scores["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3), "the mean over the other labels"
    assert found.label_scores[1] == ("round", 0, 0.5, 0.0, 0.0, 0.0, 0.0)


def test_intervals_are_those_of_resampled_examples() -> None:
    found = made_up(80, digits=1)
    draws = torch.Generator().manual_seed(0)
    micro, average = [], []
    for _ in range(1000):
        drawn = torch.randint(80, (80,), generator=draws)
        part = LabelPredictions(
            found.probabilities[drawn], found.targets[drawn], NAMES, found.decisions[drawn], found.thresholds
        )
        micro.append(part.scores["f1"])
        average.append(part.scores["average_precision"])
    assert found.intervals["f1"] == pytest.approx(tuple(np.quantile(micro, [0.025, 0.975])), rel=1e-9)
    assert found.intervals["average_precision"] == pytest.approx(tuple(np.quantile(average, [0.025, 0.975])), rel=1e-9)


def test_baseline_predicts_the_stored_labels() -> None:
    base = SMALL.baseline({"labels": ["red"]})
    assert base.pop("labels") == ["red"]
    assert base == pytest.approx({"test/f1": 6 / 9, "test/f1_macro": 3 / 7, "test/acc": 0.25})
    assert SMALL.baseline({"labels": []}) == {"labels": [], "test/f1": 0.0, "test/f1_macro": 0.0, "test/acc": 0.25}
    for stored in ({}, {"labels": ["blue"]}, {"labels": "red"}, {"mean": [1.0]}):
        assert SMALL.baseline(stored) == {}


def test_the_most_wrong_example_is_first() -> None:
    assert SMALL.worst() == [2, 0, 1], "the last one is correct; equal numbers of wrong labels by their loss"
    assert SMALL.columns == ("missed", "wrong", "correct")
    assert SMALL.describe(1) == ("", "round 70%", "red 80%")
    assert SMALL.describe(2) == ("red 10%", "", "round 60%")
    assert SMALL.caption(2) == "missed red"
    assert SMALL.caption(1) == "wrong round"


def test_predictions_are_saved_and_loaded(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "predictions" / "val.npz")
    saved = read_predictions(tmp_path)
    assert saved is not None
    assert np.array_equal(saved.predictions, SMALL.probabilities)
    assert np.array_equal(saved.targets, SMALL.targets)
    assert saved.names == ["red", "round"]


def report(found: LabelPredictions) -> LabelReport:
    spec = DataSpec((1,), Labels(found.names), (Column("width"),), (0.0,), (1.0,))
    positions = found.worst()
    worst = WorstExamples(positions, [f"row {place + 1}" for place in positions], torch.ones(len(positions), 1), spec)
    scores = {f"test/{name}": found.scores[name] for name in ("average_precision", "f1", "acc")}
    baseline = found.baseline({"labels": ["red"]})
    return LabelReport("run", "best.ckpt", "test split", scores, found, baseline, worst=worst)


def test_report_has_a_row_for_each_label(tmp_path: Path) -> None:
    found = made_up()
    text = "\n".join(report(found).lines)
    assert text.splitlines()[2].endswith("always the labels red")
    low, high = found.intervals["average_precision"]
    names = [line.split()[0] for line in text.splitlines()[3:6]]
    assert names == ["test/average_precision", "test/f1", "test/acc"]
    assert f"[{low:.5g}, {high:.5g}]" in text
    row = min(found.label_scores, key=lambda row: row.f1)
    assert f"{row.name} " in text.splitlines()[7]
    assert f"{row.examples}  " in text.splitlines()[7]
    written = report(found).write(tmp_path, "test")
    assert [path.name for path in written] == ["test.json", "test.md", "test_precision_recall_and_roc.png"]
    assert report(found).to_dict()["labels"][1] == found.label_scores[1]._asdict()
    page = (tmp_path / "test.md").read_text()
    assert label_table(found) in page
    assert "| example | missed | wrong | correct | width |" in page


def test_thresholds_are_marked_on_the_curves() -> None:
    found = made_up()
    left, right = ranking_figure(found).axes
    points = {line.get_label(): line for line in left.get_lines() if line.get_marker() == "o"}
    row = found.label_scores[2]
    [point] = points["threshold 0.7"].get_xydata()
    assert point == pytest.approx((row.recall, row.precision))
    decided, target = found.decisions[:, 2], found.targets[:, 2]
    [point] = next(line for line in right.get_lines() if line.get_label() == "threshold 0.7").get_xydata()
    assert point == pytest.approx((float((decided & ~target).sum() / (~target).sum()), row.recall))
    assert left.get_title().startswith("each label;")
