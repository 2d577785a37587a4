"""Jobs are of one kind where they cost the same."""

from pathlib import Path

import pytest

from trainyard.config import compose
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan.kinds import cost_text, kinds_of

SAME = [
    ["seed=1"],
    ["trainer.max_epochs=7"],
    ["optimizer.lr=0.1"],
    ["scheduler.warmup_fraction=0.2"],
    ["data.seed=3"],
    ["data.fold=1"],
    ["model.label_smoothing=0.0"],
]
OTHER = [
    ["optimizer=sgd"],
    ["model=cnn"],
    ["model.hidden_dims=[7]"],
    ["model.dropout=0.5"],  # which is 0 otherwise
    ["data.batch_size=32"],
    ["data.train_fraction=0.5"],
    ["augment=standard"],
    ["logger=csv"],
    ["callbacks=none"],
    ["ema_decay=0.9"],
]


def text(*overrides: str) -> str:
    return cost_text(compose(["hydra.run.dir=here", "model=mlp", "optimizer=adam", *overrides]))


@pytest.mark.parametrize("overrides", SAME)
def test_what_costs_nothing_makes_no_kind(overrides: list[str]) -> None:
    if overrides == ["data.fold=1"]:
        assert text("data.fold=0") == text(*overrides)
    else:
        assert text() == text(*overrides)


@pytest.mark.parametrize("overrides", OTHER)
def test_what_costs_another_time_makes_a_kind(overrides: list[str]) -> None:
    assert text() != text(*overrides)


def test_a_kind_is_named_by_what_its_jobs_share_and_tried_by_its_longest(tmp_path: Path) -> None:
    overrides = [
        ["hydra.run.dir=here", f"optimizer={optimizer}", f"trainer.max_epochs={epochs}", "seed=0"]
        for optimizer in ("sgd", "adam")
        for epochs in (2, 5, 3)
    ]
    jobs = [Job(number, words, tmp_path / str(number)) for number, words in enumerate(overrides)]
    kinds = kinds_of(jobs, map(compose, overrides))
    assert [[job.number for job in kind.jobs] for kind in kinds] == [[0, 1, 2], [3, 4, 5]]
    assert [kind.longest.number for kind in kinds] == [1, 4]
    assert [kind.common(["optimizer", "trainer.max_epochs"]) for kind in kinds] == ["optimizer=sgd", "optimizer=adam"]
