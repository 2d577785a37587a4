"""A choice that a plain Lightning module cannot follow is an error with the accepted values."""

import re
from pathlib import Path

import pytest

from tests.user_modules.user_runs import COMMON, CONF, result
from trainyard.config.composition import compose
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

AUTOENCODER = ("model=autoencoder", "data=waves")
SCORED = (*AUTOENCODER, "objective=val/mse", "objective_mode=min")


def rejected(folder: Path, *words: str) -> str:
    """Return the message of the error with which a run ends."""
    with pytest.raises(ConfigError) as error:
        train(compose([*COMMON, f"hydra.run.dir={folder / 'run'}", *words], config_dir=CONF))
    return str(error.value)


def test_an_objective_that_is_not_logged_lists_the_metrics(tmp_path: Path) -> None:
    message = rejected(tmp_path, *AUTOENCODER, "objective=val/mae", "objective_mode=min")
    assert message.startswith("objective=val/mae: ")
    assert "val/mse" in message


def test_an_objective_of_one_of_several_loaders_lists_both(tmp_path: Path) -> None:
    message = rejected(tmp_path, "model=regressor", "data=two_sines", "objective=val/mse", "objective_mode=min")
    assert message.startswith("objective=val/mse: ")
    assert "val/mse/dataloader_idx_0" in message
    assert "val/mse/dataloader_idx_1" in message


def test_a_mode_is_never_guessed(tmp_path: Path) -> None:
    message = rejected(tmp_path, *AUTOENCODER, "objective=val/mse")
    assert "objective_mode" in message
    assert re.search(r"accepted: .*min.*max", message)
    assert not (tmp_path / "run").exists()


def test_an_unknown_mode_is_rejected(tmp_path: Path) -> None:
    assert "objective_mode=least" in rejected(tmp_path, *AUTOENCODER, "objective=val/mse", "objective_mode=least")


@pytest.mark.parametrize("word", ["optimizer=sgd", "scheduler=cosine", "finetune=full", "augment=standard"])
def test_an_option_that_nothing_uses_is_rejected(tmp_path: Path, word: str) -> None:
    message = rejected(tmp_path, *SCORED, word)
    assert word in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("word", ["optimizer.lr=0.1", "scheduler.warmup_fraction=0.1"])
def test_a_value_that_nothing_uses_is_rejected(tmp_path: Path, word: str) -> None:
    assert word.partition("=")[0].partition(".")[0] in rejected(tmp_path, *SCORED, word)


def test_a_module_without_validation_is_rejected(tmp_path: Path) -> None:
    message = rejected(tmp_path, "model=demo", "data=boring", "objective=val/output", "objective_mode=min")
    assert "validation" in message


def test_a_module_that_logs_nothing_is_rejected(tmp_path: Path) -> None:
    message = rejected(tmp_path, "model=silent", "data=boring", "objective=x", "objective_mode=min")
    assert message.startswith("objective=x: ")
    assert "log" in message


def test_a_value_of_the_user_is_checked_by_no_rule_of_trainyard(tmp_path: Path) -> None:
    """`model.gamma`, `model.hidden` and the like may have any meaning in a user's own class."""
    words = (*SCORED, "trainer.max_epochs=1", "model._target_=tests.user_modules.odd_values.OddValues")
    values = (
        "+model.gamma=2.0",
        "+model.alpha=2",
        "+model.channels=3",
        "+model.hidden_dims=128",
        "+model.dropout=null",
    )
    more = ("+model.kernel_size=4", "+model.blocks=[2,2]", "+model.label_smoothing=-1", "+model.weights=0.5")
    overrides = [*COMMON, f"hydra.run.dir={tmp_path / 'run'}", *words, *values, *more]
    train(compose(overrides, config_dir=CONF))
    assert result(tmp_path / "run")["status"] == "completed"
