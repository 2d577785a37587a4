"""A tiny run of each model, and of each optimizer, finds what it found when its numbers were written down.

A refactor that changes numbers fails here. Processors differ in the last of seven digits; a change of the order, an
initial weight, a formula or a default in the first ones.
"""

from pathlib import Path

import pytest
import yaml

from tests.determinism.reference_runs import FILE, REFERENCES, digest
from tests.determinism.tiny_runs import RUNS
from trainyard.config.composition import load_options

TOLERANCE = 1e-4  # relative
KNOWN = yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_every_model_and_optimizer_is_held() -> None:
    assert set(RUNS) == set(load_options("model")), "a new model gets its tiny run, and the file a line"
    assert set(KNOWN) == set(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_numbers_are_those_that_were_written_down(name: str, tmp_path: Path) -> None:
    found = digest(tmp_path / "run", name)
    assert set(found) == set(KNOWN[name])
    for key, values in KNOWN[name].items():
        assert found[key] == pytest.approx(values, rel=TOLERANCE), key


@pytest.mark.parametrize("change", ["scheduler=linear", "optimizer.lr=0.00101", "data.batch_size=63"])
def test_a_small_change_would_be_seen(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REFERENCES, "mlp", (*REFERENCES["mlp"], change))
    found = digest(tmp_path / "run", "mlp")
    assert any(found[key] != pytest.approx(values, rel=TOLERANCE) for key, values in KNOWN["mlp"].items())
