"""Reports on ten thousand classes, whose memory and time must not grow with the square of the classes."""

from pathlib import Path

import pytest
import torch

from trainyard.reports.class_predictions import ClassPredictions, class_scores, confusion_matrix
from trainyard.reports.classification_figures import MAX_RANKED, ranking_scores
from trainyard.reports.classification_report import ClassificationReport

SCORES = {"test/acc": 0.0, "test/loss": 9.0}


def predictions(classes: int, examples: int = 400) -> ClassPredictions:
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (examples,), generator=draws)
    probabilities = torch.rand(examples, classes, generator=draws).softmax(dim=1)
    return ClassPredictions(probabilities, labels, tuple(f"class {number}" for number in range(classes)))


@pytest.fixture(scope="module")
def many() -> ClassPredictions:
    return predictions(10_000)


def test_no_confusion_matrix_is_computed(
    many: ClassPredictions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes: list[int] = []

    def counted(some: ClassPredictions) -> torch.Tensor:
        sizes.append(len(some.names))
        return confusion_matrix(some)

    monkeypatch.setattr("trainyard.reports.classification_figures.confusion_matrix", counted)
    monkeypatch.setattr("trainyard.reports.classification_report.confusion_matrix", counted)
    report = ClassificationReport("run", "best.ckpt", "test split", SCORES, many)
    written = report.write(tmp_path, "test")
    assert sizes == []
    assert [path.name for path in written] == ["test.json", "test.md", "test_calibration.png"]
    assert report.to_dict()["confusion_matrix"] is None
    assert len(report.to_dict()["classes"]) == 10_000


def test_class_scores_follow_from_the_confusion_matrix() -> None:
    some = predictions(30, 500)
    counts = confusion_matrix(some)
    for number, row in enumerate(class_scores(some)):
        assert row.examples == int(counts[number].sum())
        assert row.recall == pytest.approx(float(counts[number, number] / counts[number].sum().clamp(min=1)))
        assert row.precision == pytest.approx(float(counts[number, number] / counts[:, number].sum().clamp(min=1)))


def test_only_the_most_frequent_classes_are_ranked(many: ClassPredictions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_RANKED == 500
    monkeypatch.setattr("trainyard.reports.classification_figures.MAX_RANKED", 5)
    found = ranking_scores(many)
    frequent = many.labels.bincount(minlength=10_000)
    assert len(found) == 5
    assert min(int(frequent[number]) for number in found) == int(frequent.sort(descending=True).values[4])
