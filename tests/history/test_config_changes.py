"""What differs between two configs, but for what follows from something else."""

from pathlib import Path

from tests.history.recorded import record
from trainyard.history.config_changes import config_changes


def test_a_choice_hides_what_follows_from_it_but_not_what_was_typed(tmp_path: Path) -> None:
    one = record(tmp_path / "one", overrides=["model.dropout=0.1"], config={"seed": 0})
    cnn = {"_target_": "trainyard.models.cnn.CNN", "channels": [8], "dropout": 0.5}
    other = record(
        *(tmp_path / "two", 0.9, {"model": "cnn", "sweep": "tpe"}),
        config={"model": cnn, "seed": 3, "optimizer": {"lr": 0.01, "fused": True, "betas": None}},
    )
    lines = ["model=mlp -> cnn", "seed=0 -> 3", "model.dropout=0.0 -> 0.5", "optimizer.lr=0.001 -> 0.01"]
    assert config_changes(one, other) == lines


def test_keys_that_one_run_lacks_are_named(tmp_path: Path) -> None:
    one = record(tmp_path / "one")
    other = record(tmp_path / "two", config={"optimizer": {"lr": 0.001, "fused": True}})
    assert config_changes(one, other) == ["optimizer.betas=null -> none"]
