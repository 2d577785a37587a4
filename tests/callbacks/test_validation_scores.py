"""The scores of the last validation."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.io.errors import ConfigError


def validate(scores: ValidationScores, before: dict[str, Any], logged: dict[str, float]) -> None:
    """Run the hooks around a validation that logs these metrics."""
    trainer: Any = SimpleNamespace(callback_metrics=dict(before), sanity_checking=False)
    scores.on_validation_start(trainer, None)  # type: ignore[arg-type]
    trainer.callback_metrics |= {name: torch.tensor(value) for name, value in logged.items()}
    scores.on_validation_end(trainer, None)  # type: ignore[arg-type]


def test_only_metrics_of_the_validation_are_scores() -> None:
    scores = ValidationScores("val_mse")
    validate(scores, {"loss": torch.tensor(9.0)}, {"val_mse": 0.5, "train/loss": 1.0})
    assert scores.latest == {"val_mse": 0.5}


def test_a_metric_that_did_not_change_is_a_score() -> None:
    scores = ValidationScores("val/x")
    validate(scores, {"val/x": torch.tensor(0.5)}, {"val/x": 0.5})
    assert scores.latest == {"val/x": 0.5}


@pytest.mark.parametrize(
    ("logged", "message"),
    [
        ({"val/mse": 1.0, "val/mae": 2.0}, "did you mean val/mse"),
        ({"val/mse": 1.0, "val/mae": 2.0}, "accepted: val/mae, val/mse"),
        ({}, "a metric that validation_step logs"),
    ],
)
def test_an_unknown_objective_is_rejected_with_the_logged_metrics(logged: dict[str, float], message: str) -> None:
    scores = ValidationScores("val/mes")
    with pytest.raises(ConfigError, match="objective=val/mes: not logged in the validation") as raised:
        validate(scores, {}, logged)
    assert message in str(raised.value)
