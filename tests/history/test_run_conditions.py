"""Conditions on runs: what they look at, how they compare, and what is said of those that are none."""

from pathlib import Path

import pytest

from tests.history.recorded import record
from trainyard.errors import ConfigError
from trainyard.history.condition import Condition, fulfilling
from trainyard.stored.run import StoredRun


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    """A run with a score of 0.9 and a rate of 0.001."""
    return record(tmp_path / "runs" / "one", config={"seed": 1, "channels_last": True})


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("model=mlp", True),
        ("model=m*", True),
        ("model=cnn", False),
        ("model!=cnn", True),
        ("model!=mlp", False),
        ("status=completed", True),
        ("name=on?", True),
        ("val/acc>0.89", True),
        ("val/acc>0.9", False),
        ("val/acc>=0.9", True),
        ("val/acc=0.90", True),
        ("test/loss<0.2", True),
        ("best<=0.9", True),
        ("optimizer.lr=1e-3", True),
        ("optimizer.lr<0.001", False),
        ("optimizer.fused=true", True),
        ("optimizer.betas=null", True),
        ("optimizer.betas!=null", False),
        ("model.hidden_dims=[256,128]", True),
        ("model.hidden_dims=[256, 128]", True),
        ("model.hidden_dims=[256,*]", True),
        ("model.hidden_dims=[256]", False),
        ("seed=1", True),
        ("seed=1*", True),
        ("seed=true", False),
        ("channels_last=true", True),
        ("channels_last=1", False),
        ("epochs=2", True),
        ("seconds<4", True),
        ("parameters=10", True),
        ("started>=2026-01-02", True),
        ("started<2026-01-02", False),
        ("started=2026-01-*", True),
        ("model.depth=3", False),
        ("model.depth!=3", False),
        ("seed.deeper=3", False),
        ("model<3", False),
    ],
)
def test_compares_numbers_as_numbers_and_texts_by_patterns(run: StoredRun, text: str, holds: bool) -> None:
    assert Condition.read(text).holds(run) == holds


@pytest.mark.parametrize("text", ["model", "", "=3", "val/acc>", "val/acc>high", "optimizer.lr<[1]"])
def test_refuses_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)CONDITION=.*accepted: KEY=VALUE"):
        Condition.read(text)


def test_a_run_without_a_result_fulfils_nothing_about_it(tmp_path: Path) -> None:
    broken = record(tmp_path / "broken", result=None)
    (broken.folder / "config.yaml").unlink()
    for text in ("val/acc>0", "val/acc!=1", "best>0", "epochs<9", "model!=cnn", "optimizer.lr<9"):
        assert not Condition.read(text).holds(StoredRun(broken.folder))
    assert Condition.read("status=broken").holds(StoredRun(broken.folder))


def test_a_key_that_no_run_has_is_a_typing_error(run: StoredRun, tmp_path: Path) -> None:
    transfer = record(tmp_path / "other", config={"model": {"backbone": "resnet18"}})
    runs = [run, transfer]
    assert fulfilling(runs, [Condition.read("model.backbone=res*")]) == [transfer]
    assert fulfilling(runs, [Condition.read("model.dropout>0.5")]) == []
    with pytest.raises(ConfigError, match=r"KEY=optimizer.lrr: .*did you mean optimizer.lr.*\n.*optimizer.fused"):
        fulfilling(runs, [Condition.read("optimizer.lrr>0")])
    with pytest.raises(ConfigError, match=r"KEY=vall/acc: .*did you mean val/acc"):
        fulfilling(runs, [Condition.read("vall/acc>0")])
    assert fulfilling([], [Condition.read("anything=1")]) == []
