"""Configs that are composed together are those that Hydra composes one by one."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from hydra_plugins.trainyard.composer import Composer
from trainyard.config import CONF_DIR

JOBS = [
    ["seed=1", "optimizer.lr=0.1", "hydra.sweep.subdir=3"],
    ["optimizer=sgd", "optimizer.momentum=0.5", "seed=2"],
    ["optimizer.lr=0.2", "model=cnn", "+trainer.max_steps=7", "hydra.sweep.dir=there"],
    ["model.hidden_dims=[3,4]", "~optimizer.weight_decay", "callbacks=none", "++objective=val/loss"],
    ["experiment=penguins", "seed=4", "hydra.job.name=mine"],
    ["debug=overfit", "data.fold=1"],
    [],
]


def test_a_config_is_what_hydra_composes() -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        typed = ["hydra/launcher=stacked", "hydra.launcher.slots=2"]
        master = loader.load_configuration("train", overrides=typed, run_mode=RunMode.MULTIRUN)
        composer = Composer(loader, master)
        for job in [*JOBS, *JOBS]:
            expected, found = loader.load_sweep_config(master, job), composer.compose(job)
            assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected), job
            assert found._get_flag("struct") == expected._get_flag("struct")
        assert len(composer.merged) == 6, "two of the seven choose no option"


@pytest.mark.parametrize("wrong", ["optimizer.lrr=1", "modle=cnn", "model=cnnn", "seed=1,2", "+seed=3", "seed"])
def test_what_hydra_refuses_is_refused_with_its_error(wrong: str) -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("train", overrides=[], run_mode=RunMode.MULTIRUN)
        with pytest.raises(HydraException) as expected:
            loader.load_sweep_config(master, ["optimizer.lr=0.1", wrong])
        with pytest.raises(HydraException) as found:
            Composer(loader, master).compose(["optimizer.lr=0.1", wrong])
        assert type(found.value) is type(expected.value)
        assert str(found.value) == str(expected.value)
