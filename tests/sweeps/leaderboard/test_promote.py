"""The winner of a sweep as an experiment: what it composes to is what won."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.sweeps.synthetic import space, stored
from trainyard.config.composition import CONF_DIR, compose
from trainyard.io.errors import ConfigError
from trainyard.sweeps.leaderboard.promote import check_name, promote
from trainyard.terminal.invocation import train_command

WINNERS = {
    "options": ["model=mlp,cnn", "optimizer=sgd,adam"],
    "values of an option": ["model=cnn,mlp", "optimizer=sgd", "optimizer.lr=1e-1,3e-4"],
    "lists": ["model=mlp", "model.hidden_dims=[8],[16,8]", "model.activation=relu,gelu"],
    "a value that the config does not name": ["+trainer.limit_val_batches=0.5,0.25", "++trainer.max_steps=7"],
    "another experiment": ["experiment=digits_cnn,penguins", "optimizer=sgd", "trainer.max_epochs=2"],
    "an option of the experiment's": ["experiment=digits_cnn", "model=cnn,mlp", "data=shapes"],
    "no callbacks": ["callbacks=default,none", "logger=csv", "scheduler=constant"],
    "texts": ["data=table", "data.target='a b','yes'", "data.path=x.csv"],
    "null": ["ema_decay=0.9,null", "objective=val/loss", "trainer.gradient_clip_val=1"],
    "a part": [
        "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:1.0}]",
        "model=mlp,cnn",
    ],
    "a seed that all have": ["seed=7", "model=mlp,cnn"],
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The configs, to write into."""
    folder: Path = shutil.copytree(CONF_DIR, tmp_path / "conf")
    return folder


def content(cfg: DictConfig) -> Any:
    """All that a run depends on: what chose it is told elsewhere."""
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    return {key: value for key, value in plain.items() if key != "run"}


@pytest.mark.parametrize("winner", WINNERS)
def test_the_experiment_composes_to_the_winner(tmp_path: Path, conf: Path, winner: str) -> None:
    for best in ("first", "last"):
        jobs = space(WINNERS[winner]).jobs()
        won = 0 if best == "first" else len(jobs) - 1
        sweep = stored(tmp_path / best, WINNERS[winner], [0.9 if n == won else 0.1 for n in range(len(jobs))])
        said = promote(sweep, f"my_{best}", conf)
        assert said.endswith(f": {train_command(f'experiment=my_{best}')}")
        promoted = compose([f"experiment=my_{best}", "hydra.run.dir=run"], conf)
        assert content(promoted) == content(compose([*jobs[won], "hydra.run.dir=run"], conf))


@pytest.mark.parametrize("seed", ["seed", "+seed", "++seed", "data.fold", "data.seed"])
def test_the_experiment_has_no_replicates_and_names_its_sweep(tmp_path: Path, conf: Path, seed: str) -> None:
    sweep = stored(tmp_path / "mine", ["model=mlp,cnn", f"{seed}=3,4"], [0.5, 0.6, 0.8, 0.9])
    promote(sweep, "best", conf)
    lines, plain = (conf / "experiment" / "best.yaml").read_text().splitlines(), seed.lstrip("+")
    assert lines[:3] == [
        "# @package _global_",
        "# python train.py experiment=best",
        f"# The best of 2 configurations of the sweep mine: val/acc 0.8500 ± 0.0707 over 2 runs ({plain}).",
    ]
    promoted, default = compose(["experiment=best"], conf), compose([], conf)
    assert (promoted.seed, promoted.data) == (default.seed, default.data)
    assert compose(["experiment=best", "seed=9", "optimizer=sgd"], conf).seed == 9


@pytest.mark.parametrize(
    ("words", "scores", "name", "said"),
    [
        (["model=mlp,cnn"], [None, {"status": "failed"}], "new", "no job is completed"),
        (["model=mlp,cnn"], [0.5, 0.6], "penguins", "already exists"),
        (["~model.dropout", "model=mlp,cnn"], [0.5, 0.6], "new", "cannot be part of an experiment"),
    ],
)
def test_what_cannot_be_promoted(
    tmp_path: Path, conf: Path, words: list[str], scores: list[Any], name: str, said: str
) -> None:
    before = {file: file.read_bytes() for file in conf.rglob("*.yaml")}
    with pytest.raises(ConfigError, match=said):
        promote(stored(tmp_path / "mine", words, scores), name, conf)
    assert {file: file.read_bytes() for file in conf.rglob("*.yaml")} == before


NO_NAMES = ["../evil", "a/b", "", " ", "1", "1a", "-a", "true", "False", "null", "NULL", "nan", "Inf"]
NO_NAMES += ["é", "a=b", "a,b", "*", ".", "..", "a.b", "a b", "a\n", "$x", "~"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_invalid_name_of_an_experiment_is_rejected(tmp_path: Path, conf: Path, name: str) -> None:
    sweep = stored(tmp_path / "mine", ["model=mlp,cnn"], [0.5, 0.6])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match=r"--promote=.*: not a valid name of an experiment\n  accepted: letters"):
        promote(sweep, name, conf)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a", "_a", "A-1", "nullable", "e5", "on", "a_b-2"])
def test_names_that_can_be_run(tmp_path: Path, conf: Path, name: str) -> None:
    check_name(name)
    promote(stored(tmp_path / "mine", ["model=mlp,cnn"], [0.5, 0.6]), name, conf)
    assert compose([f"experiment={name}"], conf).model == compose(["model=cnn"], conf).model
