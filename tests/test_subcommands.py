"""Commands with subcommands: help, and what is said of words that are none."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "line", "expected"),
    [
        ("show.py", "", ["no subcommand", "accepted: data, model, schedule, finetune"]),
        ("show.py", "modle model=cnn", ["modle: there is no such subcommand; did you mean model?"]),
        ("show.py", "model=cnn", ["model=cnn: there is no such subcommand; did you mean model?"]),
        ("show.py", "schedule --depth 3", ["--depth 3: not for schedule"]),
        ("show.py", "model --depth 0", ["--depth 0: a number from 1"]),
        ("show.py", "model --depth deep", ["--depth", "deep"]),
        ("show.py", "data -m", ["-m"]),
        ("find.py", "", ["no subcommand", "accepted: lr, batch_size"]),
        ("find.py", "batchsize", ["did you mean batch_size?"]),
        ("find.py", "batch_size --steps 9", ["--steps 9: not for batch_size"]),
    ],
)
def test_usage_is_said_in_a_few_lines(
    typed_command, tmp_path: Path, command: str, line: str, expected: list[str]
) -> None:
    code, screen, errors = typed_command(command, *line.split())
    assert (code, screen) == (2, "")
    assert all(word in errors for word in expected)
    assert len(errors.strip().splitlines()) <= 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["show.py", "find.py"])
def test_help_names_every_subcommand(typed_command, command: str) -> None:
    code, screen, errors = typed_command(command, "--help")
    assert (code, errors) == (0, "")
    names = {"show.py": ["data", "model", "schedule", "finetune"], "find.py": ["lr", "batch_size"]}[command]
    assert [
        line.split()[0] for line in screen.splitlines() if line.startswith("  ") and line.split()[0] in names
    ] == names


def test_options_may_stand_among_the_overrides(typed_command) -> None:
    code, screen, _ = typed_command("show.py", "model", "model=cnn", "--depth", "1", "model.hidden_dims=[7]")
    assert code == 0
    assert [line.split()[0] for line in screen.splitlines()[1:4]] == ["normalize", "blocks", "head"]
