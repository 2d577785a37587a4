"""The grid that a command line spans."""

import re

import pytest

from tests.sweeps import synthetic
from trainyard.io.errors import ConfigError
from trainyard.sweeps.search_space import SearchSpace


def space(*words: str) -> SearchSpace:
    return synthetic.space(words)


def test_the_last_axis_changes_fastest() -> None:
    found = space("model=mlp,cnn", "seed=7", "optimizer=sgd,adam")
    assert found.axes == {"model": ["mlp", "cnn"], "optimizer": ["sgd", "adam"]}
    assert found.jobs() == [
        ["model=mlp", "seed=7", "optimizer=sgd"],
        ["model=mlp", "seed=7", "optimizer=adam"],
        ["model=cnn", "seed=7", "optimizer=sgd"],
        ["model=cnn", "seed=7", "optimizer=adam"],
    ]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=range(1,4)", ["1", "2", "3"]),
        ("seed=choice(3,5)", ["3", "5"]),
        ("seed=sort(3,1,2)", ["1", "2", "3"]),
        ("seed=sort(range(3),reverse=true)", ["2", "1", "0"]),
        ("optimizer.lr=0.1,0.01", ["0.1", "0.01"]),
        ("model.hidden_dims=[8],[16,8]", ["[8]", "[16,8]"]),
        ("+x=a,null", ["a", "null"]),
        ("+x='a,b',c", ["'a,b'", "c"]),
        ("seed=5", ["5"]),
        ("+x='a,b'", ["'a,b'"]),
    ],
)
def test_hydras_grammar_says_what_varies(word: str, values: list[str]) -> None:
    [(key, found)] = space(word).values.items()
    assert key == word.partition("=")[0]
    assert found == values
    assert len(space(word).jobs()) == len(values)


def test_what_is_typed_twice_counts_once_and_keys_of_the_sweep_not_at_all() -> None:
    found = space("seed=1,2", "sweep.name=x", "sweep.retries=3", "model=mlp", "seed=5")
    assert found.values == {"seed": ["5"], "model": ["mlp"]}
    assert found.axes == {}
    assert space().jobs() == [[]]


def test_what_is_taken_out_stays_out() -> None:
    assert space("~model.dropout", "seed=1,2").jobs() == [["~model.dropout", "seed=1"], ["~model.dropout", "seed=2"]]


def test_an_interval_is_no_grid() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.lr.*a grid needs single values") as refused:
        space("optimizer.lr=interval(0.1,1)")
    assert "range(1,4)" in str(refused.value)


def test_the_name_is_that_of_the_space() -> None:
    one = space("optimizer.lr=0.1,0.2", "model=mlp,cnn", "seed=0").name()
    assert one == space("optimizer.lr=0.1,0.2", "sweep.retries=7", "model=mlp,cnn", "seed=0").name()
    assert one.startswith("lr-model-")
    others = [space("optimizer.lr=0.1,0.3", "model=mlp,cnn", "seed=0"), space("model=mlp,cnn", "seed=0")]
    others.append(space("optimizer.lr=0.1,0.2", "model=mlp,cnn", "seed=1"))
    assert len({one, *(other.name() for other in others)}) == 4
    many = space(*(f"+group{number}.a_long_name_{number}=1,2" for number in range(9))).name()
    assert len(many) == 8


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=range(3,1)", "seed=range(3,1): no values"),
        ("lr=interval(0.1,1)", "lr=interval(0.1,1): a grid needs single values"),
        ("sweep.keep=1,2", "sweep.keep=1,2: a sweep has only one"),
        ("sweep.name=a,b", "sweep.name=a,b: a sweep has only one"),
    ],
)
def test_what_spans_no_grid(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        space(word)


def test_twice_the_same_value_is_no_repetition() -> None:
    assert space("optimizer=sgd,sgd,adam", "seed=1,1").values == {"optimizer": ["sgd", "adam"], "seed": ["1"]}


def test_zipped_values_stay_as_they_were_typed() -> None:
    words = ["model=mlp,mlp,cnn", "data=penguins,digits,digits"]
    assert [job[:2] for job in synthetic.space(words, zipped=("model", "data")).jobs()] == [
        ["model=mlp", "data=penguins"],
        ["model=mlp", "data=digits"],
        ["model=cnn", "data=digits"],
    ]
