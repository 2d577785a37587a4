"""The search space of a command line, and the condition `sweep.where`."""

import re

import pytest

from tests.sweeps import synthetic
from trainyard.io.errors import ConfigError
from trainyard.sweeps.search_space import SearchSpace, Where


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
def test_values_are_parsed_with_hydras_grammar(word: str, values: list[str]) -> None:
    [(key, found)] = space(word).values.items()
    assert key == word.partition("=")[0]
    assert found == values
    assert len(space(word).jobs()) == len(values)


def test_the_last_override_counts_and_sweep_options_do_not_vary() -> None:
    found = space("seed=1,2", "sweep.name=x", "sweep.retries=3", "model=mlp", "seed=5")
    assert found.values == {"seed": ["5"], "model": ["mlp"]}
    assert found.axes == {}
    assert space().jobs() == [[]]


def test_deleted_keys_are_deleted_in_every_job() -> None:
    assert space("~model.dropout", "seed=1,2").jobs() == [["~model.dropout", "seed=1"], ["~model.dropout", "seed=2"]]


def test_a_grid_rejects_intervals() -> None:
    with pytest.raises(ConfigError, match=r"optimizer.lr.*a grid needs single values") as refused:
        space("optimizer.lr=interval(0.1,1)")
    assert "range(1,4)" in str(refused.value)


def test_the_name_depends_only_on_the_search_space() -> None:
    one = space("optimizer.lr=0.1,0.2", "model=mlp,cnn", "seed=0").name()
    assert one == space("optimizer.lr=0.1,0.2", "sweep.retries=7", "model=mlp,cnn", "seed=0").name()
    assert one.startswith("lr-model-")
    others = [space("optimizer.lr=0.1,0.3", "model=mlp,cnn", "seed=0"), space("model=mlp,cnn", "seed=0")]
    others.append(space("optimizer.lr=0.1,0.2", "model=mlp,cnn", "seed=1"))
    assert len({one, *(other.name() for other in others)}) == 4
    many = space(*(f"+group{number}.a_long_name_{number}=1,2" for number in range(9))).name()
    assert len(many) == 8


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=range(3,1)", "seed=range(3,1): no values"),
        ("lr=interval(0.1,1)", "lr=interval(0.1,1): a grid needs single values"),
        ("sweep.keep=1,2", "sweep.keep=1,2: a sweep has only one"),
        ("sweep.name=a,b", "sweep.name=a,b: a sweep has only one"),
    ],
)
def test_invalid_values_are_rejected(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        space(word)


def test_duplicate_values_are_removed() -> None:
    assert space("optimizer=sgd,sgd,adam", "seed=1,1").values == {"optimizer": ["sgd", "adam"], "seed": ["1"]}


def test_zipped_values_may_repeat() -> None:
    words = ["model=mlp,mlp,cnn", "data=penguins,digits,digits"]
    assert [job[:2] for job in synthetic.space(words, zipped=("model", "data")).jobs()] == [
        ["model=mlp", "data=penguins"],
        ["model=mlp", "data=digits"],
        ["model=cnn", "data=digits"],
    ]


VALUES = {
    "model": "mlp",
    "optimizer.lr": "1e-2",
    "+model.hidden_dims": "[8,4]",
    "seed": "3",
    "compile": "true",
    "x": "null",
}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('model == "mlp"', True),
        ('not (model == "mlp" and seed == 3)', False),
        ("optimizer.lr < 0.1 and optimizer.lr >= 0.01", True),
        ("0.001 < optimizer.lr <= 0.01", True),
        ('model in ["cnn", "resnet"] or seed not in (1, 2)', True),
        ("model.hidden_dims == [8, 4]", True),
        ("compile == true and x == null", True),
        ("compile", True),
        ("(-seed) == -3", True),
        ('"ml" in model', True),
        ("model == mlp", True),
        ("model=m*", True),
        ("model=cnn", False),
        ("optimizer.lr<0.1", True),
        ("model.hidden_dims=[8,4]", True),
        ("seed=2", False),
        ("seed=seed", True),
    ],
)
def test_a_condition_is_evaluated(text: str, answer: bool) -> None:
    assert Where(text, VALUES).matches(VALUES) is answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model ==", "cannot be read"),
        ("modle == 1", "no job has a key modle; did you mean model?"),
        ("model == mlp or seed == 1", "no job has a key mlp"),
        ("optimizer.lr<high", "high is not a number"),
        ("optimizer.momentum > 0", "no job has a key optimizer.momentum"),
        ("", "cannot be read"),
        ("3", "refers to no key"),
        ("true", "refers to no key"),
        ("(" * 300 + "1" + ")" * 300, "cannot be read"),
    ],
)
def test_invalid_conditions_are_rejected(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.where=") as refused:
        Where(text, VALUES)
    assert message in str(refused.value)
    assert "accepted:" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("true")',
        "model.upper()",
        "[m for m in model]",
        "(lambda: 1)()",
        "model[0]",
        'f"{model}"',
        "seed ** 9",
        "model if seed else 1",
        "(seed := 4)",
        "seed < model",
        "seed / 0",
        "seed + 1 == 4",
    ],
)
def test_a_condition_is_not_executed_as_code(text: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.where="):
        Where(text, {**VALUES, "m": "1"}).matches(VALUES)
