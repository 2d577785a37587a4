"""The objective and its mode."""

import pytest
from omegaconf import OmegaConf

from tests.conftest import Compose
from trainyard.config.objective import Objective, known_mode, metric_name
from trainyard.io.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "mode"), [(["task=classification"], "max"), (["task=regression"], "min"), (["objective=val/loss"], "min")]
)
def test_the_mode_of_built_in_metrics_is_known(compose_run: Compose, words: list[str], mode: str) -> None:
    assert Objective.from_config(compose_run(*words)).mode == mode


def test_the_mode_of_other_metrics_must_be_given(compose_run: Compose) -> None:
    with pytest.raises(ConfigError, match="objective=val/mse: objective_mode is required") as raised:
        Objective.from_config(compose_run("objective=val/mse"))
    assert "objective_mode=min or objective_mode=max" in str(raised.value)
    assert Objective.from_config(compose_run("objective=val/mse", "objective_mode=min")).mode == "min"


def test_a_training_score_is_rejected(compose_run: Compose) -> None:
    with pytest.raises(ConfigError, match="objective=train/loss: training scores select no epoch"):
        Objective.from_config(compose_run("objective=train/loss"))


def test_plateau_and_early_stopping_follow_the_objective(compose_run: Compose) -> None:
    cfg = compose_run("objective=val/mse", "objective_mode=min", "scheduler=plateau", "callbacks=early_stopping")
    assert cfg.scheduler.mode == cfg.callbacks.early_stopping.mode == "min"
    assert cfg.callbacks.early_stopping.monitor == "val/mse"


@pytest.mark.parametrize(
    ("name", "bare"),
    [("val/mse", "mse"), ("val_loss", "loss"), ("test/mse", "mse"), ("value", "value"), ("val/a/b", "a/b")],
)
def test_metric_names_without_stage(name: str, bare: str) -> None:
    assert metric_name(name) == bare
    assert known_mode(name, {"max": ["acc"], "min": [bare]}) == "min"


@pytest.mark.parametrize(
    ("name", "test"),
    [("val/mse", "test/mse"), ("val_loss", "test_loss"), ("validation/x", "test/x"), ("value", "value")],
)
def test_the_test_metric_of_an_objective(name: str, test: str) -> None:
    assert Objective(name, "min").test_name == test


def test_scores_are_compared_by_the_mode() -> None:
    smallest, largest = Objective("val/x", "min"), Objective("val/x", "max")
    assert sorted([3.0, 1.0, 2.0], key=smallest.sort_key) == [1.0, 2.0, 3.0]
    assert sorted([3.0, 1.0, 2.0], key=largest.sort_key) == [3.0, 2.0, 1.0]
    assert smallest.is_better(1.0, 2.0)
    assert not largest.is_better(1.0, 2.0)
    assert smallest.sort_key(None) == largest.sort_key(float("nan")) == 0.0


def test_files_of_version_0_1_have_no_mode() -> None:
    assert Objective.from_stored({"objective": "val/loss"}).mode == "min"
    assert Objective.from_stored(OmegaConf.create({"objective": "val/acc"})).mode == "max"
    with pytest.raises(ValueError, match="sideways"):
        Objective.from_stored({"objective": "val/x", "objective_mode": "sideways"})
