"""The losses of a tiny run of each model and each optimizer equal the stored reference values.

A refactoring that changes numbers fails here. Between processors, only the last of seven digits differs; a change of
the order, an initial weight, a formula or a default changes the first digits.
"""

from pathlib import Path

import pytest
import yaml

from tests.determinism.reference_runs import FILE, REFERENCES, digest
from tests.determinism.tiny_runs import RUNS
from trainyard.config.composition import load_options

TOLERANCE = 1e-4  # relative
EXPECTED = yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_every_model_and_optimizer_has_reference_values() -> None:
    assert set(RUNS) == set(load_options("model")), "a new model needs a tiny run and reference values"
    assert set(EXPECTED) == set(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_losses_equal_the_reference_values(name: str, tmp_path: Path) -> None:
    losses = digest(tmp_path / "run", name)
    assert set(losses) == set(EXPECTED[name])
    for key, values in EXPECTED[name].items():
        assert losses[key] == pytest.approx(values, rel=TOLERANCE), key


@pytest.mark.parametrize("change", ["scheduler=linear", "optimizer.lr=0.00101", "data.batch_size=63"])
def test_a_small_change_is_detected(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REFERENCES, "mlp", (*REFERENCES["mlp"], change))
    losses = digest(tmp_path / "run", "mlp")
    assert any(losses[key] != pytest.approx(values, rel=TOLERANCE) for key, values in EXPECTED["mlp"].items())
