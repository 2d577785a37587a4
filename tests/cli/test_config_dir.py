"""`--config-dir FOLDER`: in every command, before or after its name, and in messages and help."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainyard.config.composition import CONF_DIR
from trainyard.run.summary import resume_command

TINY = ["data=penguins", "callbacks=none", "logger=csv", "trainer.max_epochs=1", "accelerator=cpu"]
MODULE = "from trainyard.models.mlp import MLP\n\n\nclass Mine(MLP):\n    pass\n"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project `mine/{conf,src}`; the current folder is empty and beside it."""
    folder = tmp_path / "mine"
    for group in ("model", "experiment"):
        (folder / "conf" / group).mkdir(parents=True)
    package = f"own_{tmp_path.name}"  # a name of its own, since this process imports it
    (folder / f"{package}.py").write_text(MODULE)
    text = (CONF_DIR / "model" / "mlp.yaml").read_text().replace("trainyard.models.mlp.MLP", f"{package}.Mine")
    (folder / "conf" / "model" / "tiny.yaml").write_text(text.replace("[256, 128]", "[3]"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", sys.path[:])
    return folder


@pytest.mark.parametrize("words", ["--config-dir {} show model", "show --config-dir={} model", "show model -cd {}"])
def test_option_before_and_after_the_command(run_command: Command, project: Path, words: str) -> None:
    for conf in ("../mine/conf", str(project / "conf")):
        code, screen, errors = run_command(*words.format(conf).split(), "model=tiny", "data=penguins")
        assert (code, errors) == (0, "")
        assert "27 parameters" in screen


@pytest.mark.parametrize("command", ["show data", "show schedule", "find lr --steps 5"])
def test_commands_that_compose(run_command: Command, project: Path, command: str) -> None:
    conf = os.path.relpath(project / "conf")
    assert run_command("--config-dir", conf, *command.split(), "model=tiny", *TINY)[0] == 0
    code, _, errors = run_command("--config-dir", conf, *command.split(), "modle=tiny")
    assert code == 1
    assert errors.endswith(f"  try: trainyard --config-dir {conf} {' '.join(command.split()[:2])} model=tiny\n") == (
        "--steps" not in command
    )


OWN_MODULE = (
    "import lightning\n\n\nclass Mine(lightning.LightningModule):\n    def __init__(self, lr=0.1):\n        ...\n"
)


@pytest.mark.parametrize("word", ["model.lr", "+model.lrr", "lr", "model.learning_rate"])
def test_arguments_of_own_classes_are_suggested(run_command: Command, project: Path, word: str) -> None:
    """They need a plus if the config does not contain them; `optimizer.lr` would have no effect."""
    package = next(project.glob("*.py"))
    package.write_text(OWN_MODULE)
    (project / "conf/model/tiny.yaml").write_text(f"_target_: {package.stem}.Mine\n")
    conf = ["--config-dir", "../mine/conf"]
    code, _, errors = run_command("train", *conf, "model=tiny", f"{word}=1")
    assert code == 1
    assert errors.endswith(f"  try: trainyard {' '.join(conf)} model=tiny +model.lr=1\n")
    if word == "model.lr":
        assert f"  accepted: arguments of {package.stem}.Mine with a plus, +model.lr\n" in errors


def test_a_run_of_the_project_from_another_folder(run_command: Command, project: Path) -> None:
    conf = ["--config-dir", "../mine/conf"]
    package = next(project.glob("*.py")).stem
    assert run_command("train", *conf, "model=tiny", *TINY, "hydra.run.dir=run")[0] == 0
    trusted = ["--trusted-packages", package]
    assert resume_command(Path("run")).endswith(shlex.join([*trusted, "--config-dir", str(project / "conf")]))
    assert "has exactly the same scores" in run_command("evaluate", "run", *trusted, *conf)[1]
    assert run_command("runs", "reproduce", "run", "--yes", *conf)[1].endswith("bitwise equal\n")
    more = ["resume=run", "trainer.max_epochs=2", *trusted]
    assert run_command(*conf, *more)[0] == 0
    assert run_command("--config-dir", "nowhere", *more)[2].startswith("--config-dir=nowhere: does not exist")


@pytest.mark.parametrize("launcher", ["local", pytest.param("submitit_local", marks=pytest.mark.slow)])
def test_a_sweep_of_the_project_from_another_folder(run_command: Command, project: Path, launcher: str) -> None:
    slots = ["hydra.launcher.slots=2"] if launcher == "local" else []
    words = ["model=tiny,mlp", f"hydra/launcher={launcher}", *slots, *TINY, "sweep.name=s"]
    command = [sys.executable, "-m", "trainyard", "-m", "--config-dir", "../mine/conf", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "best:s is run" in done.stdout
    if launcher == "local":
        check_promotion(run_command, project)


def check_promotion(run_command: Command, project: Path) -> None:
    """Assert that the winner of a sweep is written into the project, with a command that works."""
    trusted = ["--trusted-packages", next(project.glob("*.py")).stem]
    _, screen, _ = run_command("leaderboard", "s", "--promote", "won", "--config-dir", "../mine/conf", *trusted)
    command = screen.splitlines()[-1].split(": trainyard ")[1]
    assert command == f"--config-dir {project / 'conf'} experiment=won"
    assert (project / "conf" / "experiment" / "won.yaml").is_file()
    assert run_command(*command.split(), *TINY, "--cfg", "job")[0] == 0
    assert not (CONF_DIR / "experiment" / "won.yaml").exists()


def test_promotion_of_an_own_option_needs_the_folder(run_command: Command, project: Path) -> None:
    conf = ["--config-dir", "../mine/conf"]
    sweep = [sys.executable, "-m", "trainyard", "-m", *conf, "model=tiny", "optimizer.lr=0.1,0.2", *TINY]
    subprocess.run([*sweep, "sweep.name=s"], capture_output=True, check=True)
    code, _, errors = run_command("leaderboard", "s", "--promote", "won")
    assert code == 1
    assert "model=tiny" in errors
    assert "or --config-dir FOLDER" in errors


def test_help_names_the_option_and_the_groups(run_command: Command, project: Path) -> None:
    (project / "conf" / "net").mkdir()
    (project / "conf" / "net" / "unet.yaml").write_text("depth: 3\n")
    _, screen, _ = run_command("train", "--config-dir", "../mine/conf", "--help")
    assert "  net          unet\n" in screen
    assert "resnet, tabular, tiny, transfer" in screen
    for words in (["--help"], ["evaluate", "--help"], ["show", "model", "--help"]):
        assert "--config-dir FOLDER" in run_command(*words)[1]
