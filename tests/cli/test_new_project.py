"""`trainyard new FOLDER`: the project works as its README says, and nothing is half written."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainyard.cli import new_project

REPOSITORY = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m WORDS` in a folder, without the modules of this checkout."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def project(run_command: Command, tmp_path: Path) -> Path:
    """A new project."""
    code, screen, errors = run_command("new", "my_project")
    assert (code, errors) == (0, "")
    assert screen.startswith("created    my_project: 9 files\n")
    return tmp_path / "my_project"


def test_its_test_passes(project: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_project"]
    done = run(["pytest", "-q", "-p", "no:cacheprovider"], project)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
    assert not (project / "outputs").exists()


def test_its_code_is_formatted_and_knows_nothing_of_trainyard(project: Path) -> None:
    done = run(["ruff", "format", "--isolated", "--line-length=120", "--check", "."], project)
    assert done.returncode == 0, done.stdout
    assert all("trainyard" not in file.read_text() for file in (project / "src").iterdir())
    text = (project / "README.md").read_text()
    assert text.startswith("# my_project\n")
    assert "PROJECT_NAME" not in text
    assert (project / ".gitignore").is_file()


@pytest.mark.slow
def test_the_commands_of_its_readme(project: Path) -> None:
    fences = re.findall(r"```\n(.*?)```", (project / "README.md").read_text(), re.DOTALL)
    commands = [line.split("  #")[0].strip() for fence in fences for line in fence.splitlines()]
    commands = [command for command in commands if command.startswith("trainyard")]
    assert len(commands) == 8
    for command in commands:
        words = shlex.split(command)
        trains = "experiment=forecast" in words
        if command.endswith("resume=latest --trusted-packages src"):
            interrupt(project)
        done = run([*words, *(["trainer.max_epochs=2"] if trains else [])], project)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert len(list(project.glob("outputs/sweeps/size/*/result.json"))) == 6


def interrupt(project: Path) -> None:
    """Let the last run look interrupted."""
    result = project / "outputs" / "latest" / "result.json"
    result.write_text(result.read_text().replace('"completed"', '"interrupted"'))


def test_an_empty_folder_is_used(run_command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run_command("new", str(tmp_path / "mine"))[0] == 0
    assert run_command("new", "new_parent/mine")[0] == 0
    assert (tmp_path / "mine" / "src" / "model.py").is_file()
    assert (tmp_path / "new_parent" / "mine" / "src" / "model.py").is_file()


def test_the_current_folder_is_used(run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_command("new", ".")[0] == 0
    assert Path("README.md").read_text().startswith("# here\n")
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_nothing_is_half_written(run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, text: str, encoding: str) -> int:
        if path.name == "waves.yaml":
            raise OSError(28, "No space left on device")
        return len(path.name)

    monkeypatch.setattr(Path, "write_text", fail)
    code, _, errors = run_command("new", "mine")
    assert code == 1
    assert errors.startswith("FOLDER=mine: cannot be written (No space left on device)\n")
    assert list(tmp_path.iterdir()) == []


def test_the_templates_are_in_the_wheel() -> None:
    """Hatchling includes every file of the package that Git does not ignore."""
    package = new_project.TEMPLATES.relative_to(REPOSITORY / "src")
    assert package == Path("trainyard/cli/project")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", str(package)],
        cwd=REPOSITORY / "src",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(tracked) == len(list(new_project.TEMPLATES.rglob("*.template"))) == 9
