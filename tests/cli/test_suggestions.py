"""Suggestions for nearly right commands work as printed."""

import argparse
import subprocess
import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from trainyard.cli.parser import hydra_parser, options_first
from trainyard.cli.suggestions import suggest_command
from trainyard.config.composition import parse_override, quote_value
from trainyard.config.format_error import as_single_value

# Arguments, and the suggested arguments.
MEANT = {
    "lr=0.1": "optimizer.lr=0.1",
    "epochs=5": "trainer.max_epochs=5",
    "max_epochs=5": "trainer.max_epochs=5",
    "batch_size=32": "data.batch_size=32",
    "num_workers=2": "data.num_workers=2",
    "wd=0.1": "optimizer.weight_decay=0.1",
    "learning_rate=0.1": "optimizer.lr=0.1",
    "optimizer.learning_rate=0.1": "optimizer.lr=0.1",
    "optimizer.lrr=0.1": "optimizer.lr=0.1",
    "optimizer.batch_size=32": "data.batch_size=32",
    "data.batch-size=32": "data.batch_size=32",
    "accelerator.precision=16-mixed": "trainer.precision=16-mixed",
    "precision=16": "trainer.precision=16-mixed",
    "trainer.epochs=3": "trainer.max_epochs=3",
    "trainer.seed=3": "seed=3",
    "model.lr=0.1": "optimizer.lr=0.1",
    "+lr=0.1": "optimizer.lr=0.1",
    "seeds=3": "seed=3",
    "steps=100": "+trainer.max_steps=100",
    "gpus=2": "accelerator=gpu trainer.devices=2",
    "device=cuda": "accelerator=gpu",
    "accelerator=cuda": "accelerator=gpu",
    "dataset=minst": "data=mnist",
    "dataset.batch_size=3": "data.batch_size=3",
    "optim=Adam": "optimizer=adam",
    "lr_scheduler=cosine": "scheduler=cosine",
    "model=CNN kernel=5": "model=cnn model.kernel_size=5",
    "--lr 0.1": "optimizer.lr=0.1",
    "--epochs=5": "trainer.max_epochs=5",
    "--batch-size 32 --lr=0.1": "data.batch_size=32 optimizer.lr=0.1",
    "--model cnn": "model=cnn",
    "--resume latest": "resume=latest",
    "resume=lastest": "resume=latest",
    "resme=latest": "resume=latest",
    "model cnn": "model=cnn",
    "model:cnn": "model=cnn",
    "model=cnn optimizer = adam seed=1": "model=cnn optimizer=adam seed=1",
    "-m optimizer.lr=0.1, 0.2": "-m optimizer.lr=0.1,0.2",
    "-m model=mlp, cnn seed=0, 1": "-m model=mlp,cnn seed=0,1",
    "-m lr=0.1,0.2": "-m optimizer.lr=0.1,0.2",
    "model=mlp,cnn": "-m model=mlp,cnn",
    "model.hidden_dims=[64, 32]": "'model.hidden_dims=[64,32]'",
    "model=transfer model.weights=old/epoch=9.ckpt": """model=transfer 'model.weights="old/epoch=9.ckpt"'""",
    "data=image_folder data.root=/x/my pictures": "data=image_folder 'data.root=/x/my pictures'",
    "data=table data.path=2024": """data=table 'data.path="2024"'""",
}
COMMANDS = {
    "evalaute latest": "trainyard evaluate latest",
    "trian model=cnn": "trainyard train model=cnn",
    "evaluate latest --tta": "trainyard evaluate latest --tta",
    "runs lsit": "trainyard runs list",
    "shwo modl model=cnn": "trainyard show model model=cnn",
}
RIGHT = [
    "model=cnn optimizer.lr=0.1",
    "-m seed=0,1",
    "+trainer.max_steps=3",
    "resume=mine",
    "model=nothing",
    "x=1",
    "optimizer=timm +optimizer.foo=3",
]


def suggested(monkeypatch: pytest.MonkeyPatch, typed: str, program: str = "train.py") -> str:
    monkeypatch.setattr(sys, "argv", [program, *typed.split()])
    return suggest_command()


@pytest.mark.parametrize("typed", MEANT)
def test_corrected_overrides_are_suggested(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    assert suggested(monkeypatch, typed) == f"python train.py {MEANT[typed]}"


@pytest.mark.parametrize("typed", COMMANDS)
def test_corrected_command_is_suggested(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    assert suggested(monkeypatch, typed) == COMMANDS[typed]


@pytest.mark.parametrize("typed", RIGHT)
def test_nothing_is_suggested_without_a_correction(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    assert not suggested(monkeypatch, typed)


def test_suggestion_starts_with_the_program_that_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert suggested(monkeypatch, "lr=1", "/x/bin/trainyard") == "trainyard optimizer.lr=1"
    assert suggested(monkeypatch, "show schedule lr=1", "trainyard") == "trainyard show schedule optimizer.lr=1"
    assert not suggested(monkeypatch, "evaluate latest lr=1", "trainyard")


CHARACTERS = st.one_of(st.sampled_from("=, []{}()'\"\\$`!:;&|<>*?#~%^@+-/aé漢😀\t"), st.characters(codec="utf-8"))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.text(CHARACTERS, min_size=1, max_size=12), min_size=20, max_size=20))
def test_quoted_values_survive_a_shell(values: list[str]) -> None:
    import shlex

    arguments = {value: quote_value(f"data.root={value}") for value in values}
    for value, argument in arguments.items():
        assert bool(argument) == (value.isprintable() and "${" not in value), value
    pasted = {value: argument for value, argument in arguments.items() if argument}
    command = " ".join(map(shlex.quote, pasted.values()))
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    for word, value in zip(done.stdout.split("\0"), pasted, strict=False):
        override = parse_override(word)
        assert override is not None
        assert override.value() == value


def test_values_with_commas_are_quoted_or_made_a_list() -> None:
    assert as_single_value("data.root=/x/a,b") == 'data.root="/x/a,b"'
    assert as_single_value("model.hidden_dims=64,32") == "model.hidden_dims=[64,32]"
    assert not as_single_value("model=mlp,cnn")
    assert not as_single_value("optimizer.lr=0,1")


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        ("model=cnn -m seed=0,1", "-m model=cnn seed=0,1"),
        ("a=1 --cfg job b=2 -p x", "--cfg job -p x a=1 b=2"),
        ("a=1 --config-dir=mine b=2", "--config-dir=mine a=1 b=2"),
        ("a=1 -i b=2", "-i a=1 b=2"),
        ("a=1 --cfg", "--cfg a=1"),
        ("-m a=1", "-m a=1"),
    ],
)
def test_options_are_moved_before_overrides(typed: str, ordered: str) -> None:
    assert options_first(typed.split()) == ordered.split()


def test_the_parser_has_the_options_of_hydra() -> None:
    from hydra._internal.utils import get_args_parser

    def options(parser: argparse.ArgumentParser) -> dict[str, tuple[object, ...]]:
        actions = [action for action in parser._actions if action.option_strings]
        return {name: (a.nargs, a.const, a.choices) for a in actions for name in a.option_strings}

    ours, theirs = options(hydra_parser()), options(get_args_parser())
    theirs["--version"] = ours["--help"]  # prints and exits
    assert ours == theirs
