"""Hydra's grammar as Optuna's distributions, and the search spaces in conf/sweep."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from tests.sweeps.synthetic import space
from trainyard.config.composition import compose, load_options
from trainyard.config.constraints import Number
from trainyard.io.errors import ConfigError
from trainyard.sweeps.distributions import as_parameter, as_text, distributions, representative_jobs
from trainyard.sweeps.search_space import SearchSpace


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optimizer.lr=tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("model.dropout=interval(0,0.5)", FloatDistribution(0, 0.5)),
        ("width=int(interval(1,5))", IntDistribution(1, 4)),
        ("width=tag(log,int(interval(1,129)))", IntDistribution(1, 128, log=True)),
        ("width=range(1,5)", IntDistribution(1, 4)),
        ("width=range(0,10,3)", IntDistribution(0, 9, step=3)),
        ("width=4,2,8", CategoricalDistribution(("4", "2", "8"))),
        ("model=choice(mlp,cnn)", CategoricalDistribution(("mlp", "cnn"))),
        ("model.dropout=range(0,0.4,0.1)", CategoricalDistribution(("0.0", "0.1", "0.2", "0.3"))),
    ],
)
def test_each_axis_has_a_distribution(word: str, expected: BaseDistribution) -> None:
    assert list(distributions(space([word], sampler="x")).values()) == [expected]


def test_zipped_keys_share_a_distribution() -> None:
    found = space(["model=mlp,cnn", "data=digits,shapes", "seed=1"], zipped=("model", "data"))
    assert distributions(found) == {"model,data": CategoricalDistribution(("mlp,digits", "cnn,shapes"))}


def test_replicates_have_no_distribution() -> None:
    found = space(["lr=1,2", "seed=0,1", "data.fold=range(3)", "data.seed=4,5"], zipped=("seed", "data.seed"))
    assert list(distributions(found)) == ["lr"]


@pytest.mark.parametrize("key", ["seed", "+data.fold"])
def test_intervals_of_replicates_are_rejected(key: str) -> None:
    with pytest.raises(ConfigError, match="each configuration is repeated with all of its values"):
        space([f"{key}=int(interval(0,5))"], sampler="x")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr=tag(log,interval(0,1))", "0.0 has no logarithm"),
        ("lr=interval(1,1)", "the interval is empty"),
        ("lr=int(interval(3,3))", "the interval is empty"),
    ],
)
def test_invalid_intervals_are_rejected(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match="lr=") as refused:
        distributions(space([word], sampler="x"))
    assert message in str(refused.value)


def test_drawn_numbers_have_four_digits_within_the_interval() -> None:
    rate = FloatDistribution(0.00012344, 0.1, log=True)
    assert as_text(0.00123456789, rate) == "0.001235"
    assert as_text(0.00012344, rate) == "0.00012344", "rounding would leave the interval"
    assert as_parameter("0.001235", rate) == 0.001235
    assert as_text(7, IntDistribution(1, 9)) == "7"
    assert as_parameter("7", IntDistribution(1, 9)) == 7
    assert as_parameter("mlp", CategoricalDistribution(("mlp",))) == "mlp"


READY = {name: option for name, option in load_options("sweep").items() if option.get("params")}


def test_conf_has_search_spaces() -> None:
    assert set(READY) == {"mlp_tpe", "cnn_tpe", "head_tpe"}


@pytest.mark.parametrize("name", READY)
def test_all_values_of_a_search_space_in_conf_compose(name: str) -> None:
    own = compose([f"sweep={name}"]).sweep
    assert own.sampler._target_ == "optuna.samplers.TPESampler"
    assert Number(low=20, high=100, whole=True).accepts(own.trials)
    overrides = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in own.params.items()])
    found = representative_jobs(SearchSpace.parse(overrides, sampler=own.sampler._target_))
    assert len(found) >= 5
    for words in found:
        assert compose(words).run.choices.model == name.removesuffix("_tpe").replace("head", "transfer")
