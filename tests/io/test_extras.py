"""Messages about optional packages: not installed, or installed but broken, and the command that works here."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Compose
from trainyard.io import extras
from trainyard.io.errors import ConfigError
from trainyard.io.extras import describe_missing, install_command
from trainyard.run.run_builder import build_loggers

REPOSITORY = Path(__file__).parents[2]


def test_the_command_installs_from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert install_command("wandb") == "python -m pip install -c constraints.txt -e '.[wandb]'"
    monkeypatch.chdir("/")
    words = shlex.split(install_command("wandb"))
    assert words[:4] == ["python", "-m", "pip", "install"]
    assert Path(words[5]).is_file()
    assert Path(words[7].removesuffix("[wandb]"), "pyproject.toml").is_file()


def test_the_command_of_an_installed_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "PROJECT", tmp_path)
    assert install_command("wandb") == "python -m pip install 'trainyard[wandb]'"


def test_missing_and_broken_packages_are_distinguished(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('compiled for another version\\nmore')")
    monkeypatch.syspath_prepend(tmp_path)
    broken = "broken_package fails to import: compiled for another version"
    assert describe_missing("x", ["nobody_has_this"])[0] == "nobody_has_this is not installed"
    assert describe_missing("x", ["no_a", "json", "no_b"])[0] == "no_a and no_b are not installed"
    assert describe_missing("x", ["json", "broken_package"])[0] == broken
    assert describe_missing("x", ["json"], ImportError("too old"))[0] == "json cannot be used: too old"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "logger=mlflow: mlflow is not installed"),
        ("import a_module_that_is_not_there\n", "logger=mlflow: mlflow fails to import: No module named 'a_module"),
    ],
)
def test_a_logger_names_the_reason(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: str
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    if content is not None:
        (tmp_path / "mlflow").mkdir()
        (tmp_path / "mlflow" / "__init__.py").write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as error:
        build_loggers(compose_run("logger=mlflow"))
    assert str(error.value).startswith(expected)
    assert "-m pip install" in str(error.value)
    assert "without it, logger=both" in str(error.value)


@pytest.mark.slow
def test_the_printed_command_is_valid(tmp_path: Path) -> None:
    words = shlex.split(install_command("browser"))
    done = subprocess.run([sys.executable, *words[1:], "--dry-run", "-q"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
