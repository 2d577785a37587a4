"""Conditions on runs: which values they compare, and how; the errors of invalid ones."""

from pathlib import Path

import pytest

from tests.history.recorded import record
from trainyard.config.condition import Condition
from trainyard.history.run_table import satisfies, select_runs
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredRun:
    """A run with a score of 0.9 and a learning rate of 0.001."""
    monkeypatch.chdir(tmp_path)
    return record(Path("outputs/runs/one"), config={"seed": 1, "channels_last": True})


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
        ("started<=2026-01-02", True),
        ("started>2026-01-02", False),
        ('model in ["cnn", "mlp"] and val/acc > 0.8', True),
        ('model == "m*" and not (seed == 1)', False),
        ("val/acc == 0.9 and -1 < test/loss", True),
        ("model.depth == 3 or model == 'mlp'", False),
    ],
)
def test_compares_numbers_as_numbers_and_texts_by_patterns(run: StoredRun, text: str, holds: bool) -> None:
    assert satisfies(run, Condition(text, "CONDITION")) == holds


@pytest.mark.parametrize(
    "text", ["model", "", "=3", "val/acc>", "val/acc>high", "optimizer.lr<[1]", "3", "model()", "val/acc + 1 > 0"]
)
def test_invalid_conditions_are_rejected(run: StoredRun, text: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)CONDITION=.*accepted: KEY=VALUE"):
        select_runs([text])


def test_a_run_without_a_result_fulfils_no_condition_on_it(tmp_path: Path) -> None:
    broken = record(tmp_path / "broken", result=None)
    (broken.folder / "config.yaml").unlink()
    for text in ("val/acc>0", "val/acc!=1", "best>0", "epochs<9", "model!=cnn", "optimizer.lr<9"):
        assert not satisfies(StoredRun(broken.folder), Condition(text, "CONDITION"))
    assert satisfies(StoredRun(broken.folder), Condition("status=broken", "CONDITION"))


def test_a_key_that_no_run_has_is_rejected(run: StoredRun) -> None:
    record(Path("outputs/runs/other"), config={"model": {"backbone": "resnet18"}})
    assert [found.name for found in select_runs(["model.backbone=res*"])] == ["other"]
    assert select_runs(["model.dropout>0.5"]) == []
    with pytest.raises(ConfigError, match=r"KEY=optimizer.lrr: .*did you mean optimizer.lr.*\n.*optimizer.fused"):
        select_runs(["optimizer.lrr>0"])
    with pytest.raises(ConfigError, match=r"KEY=vall/acc: .*did you mean val/acc"):
        select_runs(["vall/acc>0"])


def test_without_runs_any_key_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert select_runs(["anything=1"]) == []
