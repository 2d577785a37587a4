"""The `trainyard` command: help texts, errors in the words of a command, completion, version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trainyard
from trainyard.cli.commands import make_parser
from trainyard.cli.main import COMMANDS, main
from trainyard.cli.parser import Parser


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("show modle model=cnn", ["unknown command modle; did you mean model?", "accepted: data, model, schedule"]),
        ("show model=cnn", ["unknown command model=cnn; did you mean model?"]),
        ("show schedule --depth 3", ["trainyard show schedule: unrecognized arguments: --depth"]),
        ("show model --depth 0", ["--depth: 0 is not a whole number from 1"]),
        ("show model --depth deep", ["--depth", "deep"]),
        ("show data -m", ["-m"]),
        ("find batchsize", ["did you mean batch_size?"]),
        ("find batch_size --steps 9", ["unrecognized arguments: --steps"]),
        ("runs lsit", ["unknown command lsit; did you mean list?", "accepted: list, diff, reproduce"]),
        ("runs list --lst 3", ["unknown option --lst; did you mean --last?"]),
        ("export latest --formt onnx", ["unknown option --formt; did you mean --format?"]),
        ("export latest", ["required: --format"]),
        ("export latest --format pickle", ["--format", "pickle", "onnx"]),
        ("evaluate latest --tta --ensemble 2", ["--ensemble: not allowed with argument --tta"]),
        ("draw curve latest", ["unknown command curve; did you mean curves?"]),
        ("--completion powershell", ["powershell"]),
    ],
)
def test_invalid_arguments_are_reported_in_a_few_lines(
    run_command, tmp_path: Path, line: str, expected: list[str]
) -> None:
    code, screen, errors = run_command(*line.split())
    assert (code, screen) == (2, "")
    assert all(word in errors for word in expected), errors
    assert len(errors.strip().splitlines()) <= 4
    assert not list(tmp_path.iterdir())


def parsers(parser: Parser) -> list[Parser]:
    return [parser, *(inner for command in parser.commands.values() for inner in parsers(command))]


def test_every_command_has_a_parser_and_every_help_text_fits_into_80_columns() -> None:
    root = make_parser()
    assert list(root.commands) == ["train", *COMMANDS]
    found = parsers(root)
    assert len(found) == 23
    for parser in found:
        assert max(map(len, parser.format_help().splitlines())) <= 80, parser.prog


@pytest.mark.parametrize("words", [["train", "--help"], ["evaluate", "--help"], ["runs", "list", "-h"], ["--help"], []])
def test_help_is_printed_in_80_columns(run_command, words: list[str]) -> None:
    code, screen, errors = run_command(*words)
    assert (code, errors) == (0, "")
    assert len(screen.splitlines()) > 5
    assert max(map(len, screen.splitlines())) <= 80


@pytest.mark.parametrize("group", ["runs", "show", "find", "draw"])
def test_a_command_without_its_subcommand_names_them(run_command, group: str) -> None:
    accepted = ", ".join(make_parser().commands[group].commands)
    error = f"trainyard {group}: a command is required\n  accepted: {accepted}\n  help: trainyard {group} --help\n"
    assert run_command(group) == (2, "", error)
    screen = run_command(group, "--help")[1]
    assert all(f"\n    {name}" in screen for name in make_parser().commands[group].commands)


def test_the_version(run_command) -> None:
    assert run_command("--version") == (0, f"trainyard {trainyard.__version__}\n", "")


def test_options_are_accepted_between_overrides(run_command) -> None:
    code, screen, _ = run_command("show", "model", "model=cnn", "--depth", "1", "model.hidden_dims=[7]")
    assert code == 0
    assert [line.split()[0] for line in screen.splitlines()[1:4]] == ["normalize", "blocks", "head"]


def test_train_is_the_default_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    screens = []
    for words in (["train", "model=cnn", "--cfg", "job"], ["model=cnn", "--cfg", "job"]):
        monkeypatch.setattr(sys, "argv", ["trainyard", *words])
        main()
        screens.append(capfd.readouterr().out)
    assert screens[0] == screens[1]
    assert "trainyard.models.cnn.CNN" in screens[0]


COMPLETIONS = {
    "trainyard ev": {"evaluate "},
    "trainyard runs re": {"reproduce "},
    "trainyard mode": {"model="},
    "trainyard model=c": {"model=cnn "},
    "trainyard -m seed=0,1 optimizer=ada": {"adadelta", "adagrad", "adam", "adamw"},
    "trainyard show data data=pen": {"data=penguins "},
    "trainyard evaluate lat": {"latest "},
    "trainyard evaluate be": {"best:first "},
    "trainyard leaderboard f": {"first "},
    "trainyard export latest --for": {"--format "},
    "trainyard export latest --format o": {"onnx "},
    "trainyard --config-dir mine model=ti": {"model=tiny"},
    "trainyard --config-dir=mine show model model=ti": {"model=tiny"},
    "trainyard show model --config-dir mine model=ti": {"model=tiny"},
    "trainyard --config-dir mine sho": {"show "},
    "trainyard --config-dir nowhere sho": {"show "},
    "trainyard --config-dir mine model.hidden": {"model.hidden_dims="},
}


@pytest.mark.parametrize("line", COMPLETIONS)
def test_completion(line: str, tmp_path: Path) -> None:
    """The protocol of argcomplete: the shell passes the line in the environment and reads descriptor 8."""
    (tmp_path / "outputs" / "sweeps" / "first").mkdir(parents=True)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").touch()
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " =",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-c", "from trainyard.cli.main import main; main()"]
    shell = ["bash", "-c", '"$@" 8>&1 9>/dev/null >/dev/null', "complete", *command]
    done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True)
    found = {word.strip("\n") for word in done.stdout.split("\n")}
    wanted = {word.strip() for word in COMPLETIONS[line]}
    assert {word.strip().rpartition("=")[2] or word for word in found} >= {
        word.rpartition("=")[2] or word for word in wanted
    }, done.stdout


def test_the_code_for_a_shell(run_command) -> None:
    code, screen, _ = run_command("--completion", "bash")
    assert code == 0
    assert "complete " in screen
    assert "trainyard" in screen
    assert subprocess.run(["bash", "-n"], input=screen, text=True, check=False).returncode == 0
