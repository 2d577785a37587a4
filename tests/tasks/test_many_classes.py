"""Reports on ten thousand classes need neither quadratic memory nor quadratic time."""

import pytest
import torch

from trainyard.tasks.classification import MAX_RANKED, Predictions, class_scores, confusion_matrix, ranking_scores
from trainyard.tasks.classification_figures import confusion_figure, most_confused
from trainyard.tasks.classification_report import Evaluation

SCORES = {"test/acc": 0.0, "test/loss": 9.0}


def predictions(classes: int, examples: int = 400) -> Predictions:
    draws = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (examples,), generator=draws)
    probabilities = torch.rand(examples, classes, generator=draws).softmax(dim=1)
    return Predictions(probabilities, labels, tuple(f"class {number}" for number in range(classes)))


@pytest.fixture(scope="module")
def many() -> Predictions:
    return predictions(10_000)


def test_no_confusion_matrix_of_many_classes_is_computed(many: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(some: Predictions) -> torch.Tensor:
        sizes.append(len(some.classes))
        return confusion_matrix(some)

    monkeypatch.setattr("trainyard.tasks.classification_figures.confusion_matrix", counted)
    monkeypatch.setattr("trainyard.tasks.classification_report.confusion_matrix", counted)
    figure = confusion_figure(many)
    found = Evaluation("run", "best.ckpt", "test split", SCORES, many).to_dict()
    assert sizes == [60]
    assert found["confusion_matrix"] is None
    assert len(found["classes"]) == 10_000
    assert "the 60 of 10000 classes with most mistakes" in figure.get_suptitle()


def test_the_matrix_of_the_most_confused_classes() -> None:
    some = predictions(100, 2000)
    counts = confusion_matrix(some)
    missed = counts.sum(dim=1) - counts.diag()
    chosen = missed.argsort(descending=True, stable=True)[:60].sort().values
    few = most_confused(some)
    assert few.classes == tuple(f"class {number}" for number in chosen.tolist())
    assert torch.equal(confusion_matrix(few), counts[chosen][:, chosen])


def test_class_scores_match_the_confusion_matrix() -> None:
    some = predictions(30, 500)
    counts = confusion_matrix(some)
    for number, row in enumerate(class_scores(some)):
        assert row.examples == int(counts[number].sum())
        assert row.recall == pytest.approx(float(counts[number, number] / counts[number].sum().clamp(min=1)))
        assert row.precision == pytest.approx(float(counts[number, number] / counts[:, number].sum().clamp(min=1)))


def test_only_the_most_frequent_of_many_classes_are_ranked(many: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_RANKED == 500
    monkeypatch.setattr("trainyard.tasks.classification.MAX_RANKED", 5)
    found = ranking_scores(many)
    frequent = many.labels.bincount(minlength=10_000)
    assert len(found) == 5
    assert min(int(frequent[number]) for number in found) == int(frequent.sort(descending=True).values[4])
