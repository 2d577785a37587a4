"""The search spaces that conf/sweep ships."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.config.composition import compose, load_options
from trainyard.config.constraints import Number
from trainyard.sweeps.distributions import representative_jobs
from trainyard.sweeps.search_space import SearchSpace

READY = {name: option for name, option in load_options("sweep").items() if option.get("params")}


def test_there_are_some() -> None:
    assert set(READY) == {"mlp_tpe", "cnn_tpe", "head_tpe"}


@pytest.mark.parametrize("name", READY)
def test_all_of_their_values_compose(name: str) -> None:
    own = compose([f"sweep={name}"]).sweep
    assert own.sampler._target_ == "optuna.samplers.TPESampler"
    assert Number(low=20, high=100, whole=True).accepts(own.trials)
    overrides = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in own.params.items()])
    found = representative_jobs(SearchSpace.parse(overrides, sampler=own.sampler._target_))
    assert len(found) >= 5
    for words in found:
        assert compose(words).run.choices.model == name.removesuffix("_tpe").replace("head", "transfer")
