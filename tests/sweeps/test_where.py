"""`sweep.where`, which leaves combinations of values out."""

import pytest

from trainyard.io.errors import ConfigError
from trainyard.sweeps.search_space import Where

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
def test_what_holds(text: str, answer: bool) -> None:
    assert Where(text, VALUES).holds(VALUES) is answer


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_what_cannot_be_a_condition(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.where=") as refused:
        Where(text, VALUES)
    assert said in str(refused.value)
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
def test_nothing_is_run_as_code(text: str) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.where="):
        Where(text, {**VALUES, "m": "1"}).holds(VALUES)
