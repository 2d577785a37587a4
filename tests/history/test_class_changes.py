"""Which classes changed most."""

from pathlib import Path

from tests.history.recorded import predict, record
from trainyard.history.class_changes import class_changes
from trainyard.history.diff import diff


def test_classes_are_listed_by_how_much_they_changed(tmp_path: Path) -> None:
    one, other = (record(tmp_path / name) for name in ("one", "two"))
    assert class_changes(one, other) is None
    labels = [0, 0, 1, 1, 1, 1, 2, 2]
    predict(one, labels, [0, 0, 1, 1, 1, 1, 2, 0], ["cat", "dog", "eel"])
    predict(other, labels, [0, 1, 1, 1, 1, 0, 2, 0], ["cat", "dog", "eel"])
    lines = ["cat: 1.0000 -> 0.5000 (-0.5000, 2 examples)", "dog: 1.0000 -> 0.7500 (-0.2500, 4 examples)"]
    assert class_changes(one, other) == lines
    assert class_changes(one, one) == []
    assert "classes    cat: 1.0000 -> 0.5000" in diff(one, other)
