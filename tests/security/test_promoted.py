"""Promoting a configuration of an untrusted sweep creates no config that executes code or writes elsewhere."""

from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from tests.sweeps.synthetic import stored
from trainyard.config.objective import Objective
from trainyard.io.errors import ConfigError
from trainyard.sweeps.leaderboard.promote import promote

HUB = "{_target_:torch.hub.load,repo_or_dir:hub,model:m,source:local}"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Create a folder of configs."""
    for group in ("experiment", "callbacks", "model"):
        (tmp_path / "conf" / group).mkdir(parents=True)
    (tmp_path / "evil.yaml").write_text("x: 1\n")
    return tmp_path / "conf"


@pytest.mark.parametrize(
    "word",
    [
        f"+callbacks.x={HUB}",
        "+callbacks.x._target_=torch.hub.load",
        "+callbacks.x._target_=lightning.pytorch.callbacks.model_checkpoint.torch.hub.load",
        f"+model.net={HUB}",
        f"+strange={HUB}",
        "+_target_=os.system",
        "+hydra.callbacks.x._target_=os.system",
        "hydra.run.dir=/tmp/elsewhere",
        "hydra.searchpath=[file://conf]",
        "hydra/launcher=submitit_slurm",
        "sweep.sampler._target_=os.system",
        "run.dir=/tmp/elsewhere",
        "model=../../evil",
        "experiment=../../evil",
        "logger.csv.save_dir=/tmp/elsewhere",
        "logger.csv.name='${oc.env:SECRET}'",
        "data.root='${oc.env:SECRET}'",
    ],
)
def test_untrusted_values_are_not_promoted(tmp_path: Path, conf: Path, word: str) -> None:
    sweep = stored(tmp_path / "sweep", ["seed=0,1"], [0.1, 0.9])
    for job in sweep.jobs:
        job.overrides = [*job.overrides, word]
    with pytest.raises(ConfigError):
        promote(sweep, "mine", conf)
    assert list((conf / "experiment").iterdir()) == []


def test_line_breaks_in_names_do_not_add_keys(tmp_path: Path, conf: Path) -> None:
    folder = tmp_path / f"sweep\ncallbacks: {HUB}\u2028\x85x"
    sweep = stored(folder, ["seed=0,1", "optimizer.lr=0.1"], [0.1, 0.9])
    sweep.objective = Objective(f"val/acc\ncallbacks: {HUB}", "max")
    for job in sweep.jobs:
        job.result["metrics"][sweep.objective.name] = job.result["objective"]["value"]
        job.result["objective"]["name"] = sweep.objective.name
    promote(sweep, "mine", conf)
    text = (conf / "experiment" / "mine.yaml").read_text()
    assert yaml.safe_load(text) == {"optimizer": {"lr": 0.1}}
    assert OmegaConf.create(text) == {"optimizer": {"lr": 0.1}}
