"""Modules in the current folder are not imported unless the command line names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
COMMANDS = {
    "python -m trainyard": [sys.executable, "-m", "trainyard"],
    "train.py": [sys.executable, str(ROOT / "train.py")],
    "trainyard": [str(Path(sys.executable).with_name("trainyard"))],
}
WORDS = [
    "data=penguins",
    "model.hidden_dims=[5]",
    "callbacks=none",
    "logger=csv",
    "trainer.max_epochs=1",
    "accelerator=cpu",
]
LINEAR = """\
from trainyard.models.mlp import MLP


class Mine(MLP):
    pass
"""


def run_command(
    command: list[str], words: list[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    own = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(
        [*command, *words], cwd=folder, env={**own, **environment}, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with malicious modules that have the names of installed or optional packages."""
    for name in (
        "multiprocessing",
        "signal",
        "json",
        "torch",
        "timm",
        "yaml",
        "pathlib",
        "omegaconf",
        "kornia",
        "triton",
        "torch_xla",
        "wandb",
    ):
        (tmp_path / f"{name}.py").write_text(MODULE)
    for package in ("hydra_plugins", "hydra_plugins/evil", "trainyard", "lightning"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_modules_beside_a_run_are_not_imported(folder: Path, command: str) -> None:
    done = run_command(COMMANDS[command], [*WORDS, "hydra.run.dir=run"], folder)
    assert done.returncode == 0, done.stderr
    assert list(folder.rglob("ran")) == []
    assert (folder / "run" / "result.json").is_file()


def test_sweep_jobs_import_no_modules_beside_a_run(folder: Path) -> None:
    done = run_command(COMMANDS["python -m trainyard"], ["-m", "seed=0,1", *WORDS, "sweep.name=s"], folder)
    assert done.returncode == 0, done.stderr
    assert list(folder.rglob("ran")) == []


@pytest.mark.slow
def test_distributed_processes_import_no_modules_beside_a_run(folder: Path) -> None:
    done = run_command(COMMANDS["python -m trainyard"], [*WORDS, "accelerator=ddp_cpu", "hydra.run.dir=run"], folder)
    assert done.returncode == 0, done.stderr
    assert list(folder.rglob("ran")) == []


def test_plugins_without_init_are_not_imported(tmp_path: Path) -> None:
    (tmp_path / "hydra_plugins" / "evil").mkdir(parents=True)
    (tmp_path / "hydra_plugins" / "evil" / "__init__.py").write_text(MODULE)
    (tmp_path / "train.py").write_text((ROOT / "train.py").read_text())
    for command in (COMMANDS["python -m trainyard"], [sys.executable, "train.py"]):
        assert run_command(command, ["--cfg", "job"], tmp_path).returncode == 0
        assert list(tmp_path.rglob("ran")) == []
    assert run_command(COMMANDS["train.py"], ["--cfg", "job"], tmp_path, PYTHONPATH=".").returncode == 0
    assert list(tmp_path.rglob("ran")) != [], "PYTHONPATH is trusted"


@pytest.mark.parametrize("environment", [pytest.param({}, marks=pytest.mark.slow), {"PYTHONPATH": "."}])
def test_module_named_on_the_command_line_is_imported(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "my_models.py").write_text(LINEAR)
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    text = (ROOT / "conf" / "model" / "mlp.yaml").read_text().replace("trainyard.models.mlp.MLP", "my_models.Mine")
    (tmp_path / "my_conf" / "model" / "mine.yaml").write_text(text)
    words = ["--config-dir", "my_conf", "model=mine", *WORDS, "hydra.run.dir=run"]
    for command in ("python -m trainyard", "trainyard"):
        done = run_command(COMMANDS[command], words, tmp_path, **environment)
        assert done.returncode == 0, done.stderr
    more = ["resume=run", "trainer.max_epochs=2"]
    assert run_command(COMMANDS["trainyard"], more, tmp_path, **environment).returncode == 1
    done = run_command(COMMANDS["trainyard"], [*more, "--trusted-packages", "my_models"], tmp_path, **environment)
    assert done.returncode == 0, done.stderr
