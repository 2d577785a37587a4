"""Metrics and figures of predictions, compared with numbers computed by hand and torchmetrics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision, multiclass_recall

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.reports.class_predictions import (
    ClassPredictions,
    accuracy_interval,
    calibration_error,
    class_scores,
    confusion_matrix,
    reliability,
)
from trainyard.reports.classification_figures import (
    calibration_figure,
    confusion_figure,
    ranking_figure,
    ranking_scores,
)
from trainyard.reports.classification_report import ClassificationReport, class_table
from trainyard.reports.mistakes import mistakes_figure, mistakes_table
from trainyard.terminal.tables import markdown_table


def predictions(rows: list[list[float]], labels: list[int], *classes: str) -> ClassPredictions:
    return ClassPredictions(torch.tensor(rows), torch.tensor(labels), classes)


SMALL = predictions(
    [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.2, 0.5, 0.3]],
    [0, 0, 1, 1, 2],
    "a", "b", "c",
)  # fmt: skip


def random_predictions(classes: int = 7, examples: int = 500) -> ClassPredictions:
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (examples,), generator=draws)
    logits = torch.randn(examples, classes, generator=draws) + 1.5 * torch.eye(classes)[labels]
    return ClassPredictions(logits.softmax(1), labels, tuple(f"class {number}" for number in range(classes)))


def test_confusion_matrix_has_true_classes_as_rows() -> None:
    assert confusion_matrix(SMALL).tolist() == [[2, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert int(confusion_matrix(random_predictions()).sum()) == 500


def texts(figure: object) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]  # type: ignore[attr-defined]


def test_confusion_figure_has_counts_fractions_and_names() -> None:
    figure = confusion_figure(SMALL)
    counts, shares = ([text.get_text() for text in axis.texts] for axis in figure.axes)
    assert counts == ["2", "1", "1", "1"]
    assert sum(map(int, counts)) == len(SMALL)
    assert shares == ["1.00", "0.50", "0.50", "1.00"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize(("classes", "numbered", "named"), [(20, True, True), (60, False, True), (200, False, False)])
def test_confusion_figure_of_many_classes_has_no_text(classes: int, numbered: bool, named: bool) -> None:
    figure = confusion_figure(random_predictions(classes))
    assert bool(texts(figure)) == numbered
    assert (len(figure.axes[0].get_yticklabels()) == classes) == named


def test_class_scores_are_those_of_torchmetrics() -> None:
    found, scores = random_predictions(), class_scores(random_predictions())
    for oracle, own in (
        (multiclass_precision, [row.precision for row in scores]),
        (multiclass_recall, [row.recall for row in scores]),
        (multiclass_f1_score, [row.f1 for row in scores]),
    ):
        expected = oracle(found.predicted, found.labels, num_classes=7, average=None)
        torch.testing.assert_close(torch.tensor(own), expected)


def test_class_that_is_never_predicted_is_first_in_the_table() -> None:
    assert class_table(SMALL).splitlines()[2:] == [
        "| c | 1 | 0.000 | 0.000 | 0.000 |",
        "| b | 2 | 0.500 | 0.500 | 0.500 |",
        "| a | 2 | 0.667 | 1.000 | 0.800 |",
        "| *mean* | 5 | 0.389 | 0.500 | 0.433 |",
    ]


def test_scores_of_classes_are_right_aligned() -> None:
    report = ClassificationReport("run", "best.ckpt", "test split", {"test/acc": 0.6, "test/loss": 0.9}, SMALL)
    assert report.lines[len(report.points) :] == [
        "class  examples  precision  recall     F1\n"
        "c             1      0.000   0.000  0.000\n"
        "b             2      0.500   0.500  0.500\n"
        "a             2      0.667   1.000  0.800"
    ]


def test_reliability_bins_give_the_calibration_error() -> None:
    found = random_predictions()
    examples, confidence, accuracy = reliability(found)
    assert int(examples.sum()) == 500
    error = ((accuracy - confidence).abs() * examples).sum() / 500
    assert float(error) == pytest.approx(calibration_error(found), abs=1e-6)


def test_overconfident_model_has_a_high_calibration_error() -> None:
    overconfident = predictions([[1.0, 0.0], [1.0, 0.0]], [0, 1], "a", "b")
    assert calibration_error(overconfident) == pytest.approx(0.5)
    assert reliability(overconfident)[0][-1] == 2
    assert "0.5000" in calibration_figure(overconfident).axes[0].get_title()


def test_areas_of_perfect_and_reversed_rankings() -> None:
    good = predictions([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 0, 1], "a", "b")
    assert ranking_scores(good) == {0: (1.0, 1.0), 1: (1.0, 1.0)}
    bad = predictions([[0.1, 0.9], [0.8, 0.2]], [0, 1], "a", "b")
    assert ranking_scores(bad) == {0: (0.5, 0.0), 1: (0.5, 0.0)}


def test_classes_without_examples_are_not_ranked() -> None:
    assert list(ranking_scores(predictions([[0.9, 0.1], [0.8, 0.2]], [0, 0], "a", "b"))) == []
    figure = ranking_figure(random_predictions(30))
    assert [len(axis.get_legend_handles_labels()[1]) for axis in figure.axes] == [10, 10]
    assert "10 worst of 30" in figure.axes[0].get_title()
    assert ranking_figure(predictions([[0.9, 0.1]], [0], "a", "b")).axes[0].get_lines() == []


def test_mistakes_are_ordered_by_confidence() -> None:
    assert SMALL.worst() == [3, 4]
    found = random_predictions()
    places = found.worst()
    assert len(places) == 16
    confidences = found.confidence[places].tolist()
    assert confidences == sorted(confidences, reverse=True)
    assert not found.correct[places].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_mistakes_figure_has_predicted_and_true_classes(channels: int) -> None:
    images = torch.zeros(2, channels, 6, 4, dtype=torch.uint8)
    figure = mistakes_figure(SMALL, [3, 4], images)
    assert [axis.get_title() for axis in figure.axes if axis.get_title()] == ["a 90%\nis b", "b 50%\nis c"]


def test_mistakes_table_has_original_values() -> None:
    columns = (Column("length"), Column("kind|sort", levels=("red", "blue")))
    spec = DataSpec((2,), Classes(("a", "b", "c")), columns, (0.0, 0.0), (1.0, 1.0))
    rows = torch.tensor([[1.25, 2.0], [float("nan"), 0.0]])
    assert mistakes_table(SMALL, [3, 4], rows, spec).splitlines() == [
        "| predicted | confidence | true | length | kind\\|sort |",
        "| --- | --- | --- | --- | --- |",
        "| a | 90% | b | 1.25 | blue |",
        "| b | 50% | c |  |  |",
    ]


def test_markdown_cells_are_escaped() -> None:
    assert markdown_table(["a"], [["x\ny|z"]]).splitlines()[-1] == "| x y\\|z |"


def test_predictions_are_saved_as_a_numpy_archive(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "kept" / "val.npz")
    with np.load(tmp_path / "kept" / "val.npz", allow_pickle=False) as stored:
        saved = {name: stored[name] for name in stored.files}
    assert saved["classes"].tolist() == ["a", "b", "c"]
    same: Tensor = torch.from_numpy(saved["probabilities"])
    assert torch.equal(same, SMALL.probabilities)
    assert torch.equal(torch.from_numpy(saved["labels"]), SMALL.labels)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["val.npz"]


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0)],
    ids=str,
)
def test_interval_equals_published_values(correct: int, examples: int, low: float, high: float) -> None:
    assert accuracy_interval(correct, examples) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("correct", "examples"), [(90, 100), (1, 3), (970, 1000)])
def test_interval_bounds_are_1_96_standard_errors_away(correct: int, examples: int) -> None:
    for bound in accuracy_interval(correct, examples):
        error = (bound * (1 - bound) / examples) ** 0.5
        assert abs(correct / examples - bound) == pytest.approx(1.96 * error, rel=1e-4)


def binary(threshold: float | None) -> ClassPredictions:
    """Return predictions of two classes, decided by a threshold."""
    second = torch.tensor([0.1, 0.35, 0.4, 0.8, 0.2, 0.6])
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    decided = None if threshold is None else (second >= threshold).long()
    return ClassPredictions(torch.stack([1 - second, second], dim=1), labels, ("no", "yes"), decided, threshold)


def test_classes_are_decided_by_the_threshold() -> None:
    found = binary(0.3)
    assert found.predicted.tolist() == [0, 1, 1, 1, 0, 1]
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.confidence.tolist() == pytest.approx([0.9, 0.35, 0.4, 0.8, 0.8, 0.6])
    assert confusion_matrix(found).tolist() == [[2, 1], [0, 3]]
    assert found.worst() == [2]
    report = ClassificationReport("run", "best.ckpt", "test split", {"test/acc": 5 / 6, "test/loss": 0.5}, found)
    line = "threshold  yes from a probability of 0.3: accuracy 0.8333, precision 0.750, recall 1.000, F1 0.857"
    assert line in report.points
    assert report.to_dict()["threshold"] == 0.3
    plain = ClassificationReport("run", "best.ckpt", "test split", {"test/acc": 5 / 6, "test/loss": 0.5}, binary(None))
    assert not any(line.startswith("threshold") for line in plain.points)
    assert "threshold" not in plain.to_dict()


@pytest.mark.parametrize(
    ("threshold", "label", "recall", "precision", "wrong"),
    [(0.3, "threshold 0.3", 1.0, 0.75, 1 / 3), (None, "threshold 0.5", 2 / 3, 1.0, 0.0)],
)
def test_the_threshold_is_marked_on_the_curves_of_two_classes(
    threshold: float | None, label: str, recall: float, precision: float, wrong: float
) -> None:
    left, right = ranking_figure(binary(threshold)).axes
    points = [[line for line in axis.get_lines() if line.get_label() == label] for axis in (left, right)]
    [second] = [line for line in points[0] if line.get_color() == "C1"] or points[0][-1:]
    assert second.get_xydata().tolist() == [pytest.approx([recall, precision])]
    assert points[1][-1].get_xydata().tolist() == [pytest.approx([wrong, recall])]
    assert not [line for line in ranking_figure(SMALL).axes[0].get_lines() if line.get_marker() == "o"]


def test_curves_are_a_file_of_the_report_on_two_classes(tmp_path: Path) -> None:
    scores = {"test/acc": 0.5, "test/loss": 0.5, "test/auroc": 0.75}
    report = ClassificationReport("run", "best.ckpt", "test split", scores, binary(0.3))
    assert report.write(tmp_path, "test")[-1].name == "test_precision_recall_and_roc.png"
    assert "test/auroc 0.7500" in report.points


def test_scores_of_a_task_without_accuracy_are_shown_beside_it() -> None:
    report = ClassificationReport("run", "best.ckpt", "test split", {"test/mae": 0.5}, SMALL)
    low, high = accuracy_interval(3, 5)
    assert report.points[2:4] == [
        f"accuracy   0.6000  [{low:.4f}, {high:.4f}] 95 % interval (Wilson)",
        "test/mae   0.5000",
    ]
    assert report.to_dict()["metrics"] == {"test/mae": 0.5}
