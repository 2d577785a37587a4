"""What a person types to test a run again, and what the screen says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.config.composition import compose
from trainyard.run.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second."""
    folder = tmp_path_factory.mktemp("typed") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=2"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


def test_scores_and_where_they_are_written(typed_command, run: Path) -> None:
    code, screen, errors = typed_command("evaluate", str(run))
    assert (code, errors) == (0, "")
    metrics = json.loads((run / "result.json").read_text())["metrics"]
    share = json.loads((run / "result.json").read_text())["baseline"]["test/acc"]
    assert f"test/acc   {metrics['test/acc']:.4f} (always 'Adelie': {share:.4f})  [" in screen
    assert "has exactly the same scores" in screen
    assert all(name in screen for name in ("Adelie", "Chinstrap", "Gentoo"))
    assert (run / "evaluation" / "test.json").is_file()


def test_a_report_elsewhere(typed_command, run: Path, tmp_path: Path) -> None:
    code, _, _ = typed_command("evaluate", str(run), "--output", str(tmp_path / "there"), "data.batch_size=5")
    assert code == 0
    [stored] = (tmp_path / "there").glob("test-*.json")
    assert json.loads(stored.read_text())["typed"] == ["data.batch_size=5"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing"], 1, "RUN=nothing: there is no such run"),
        (["RUN", "batch_size=3"], 1, "did you mean data.batch_size or data.default_batch_size?"),
        (["RUN", "--ensemble", "3"], 1, "accepted: best:SWEEP as the RUN"),
        (["RUN", "--ensemble", "0"], 2, "--ensemble: 0 is not a whole number from 1"),
        (["RUN", "--ensemble", "2", "--tta"], 2, "argument --tta: not allowed with argument --ensemble"),
        (["RUN", "--ttta"], 2, "--ttta"),
        (["RUN", "--output", "/proc/x"], 1, "--output=/proc/x: cannot be written"),
        (["RUN", "--tta"], 1, "with augment=none, the run was trained without augmentation"),
        ([], 2, "RUN"),
    ],
)
def test_what_cannot_be_is_said_in_a_few_lines(
    typed_command, run: Path, words: list[str], code: int, said: str
) -> None:
    found = typed_command("evaluate", *(str(run) if word == "RUN" else word for word in words))
    assert found[0] == code
    assert said in found[2]
    assert "Traceback" not in found[2]


def test_a_reader_may_go_away(run: Path) -> None:
    line = f"set -o pipefail; {sys.executable} -m trainyard evaluate {run} | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=600)
    assert done.stdout.startswith("model ")
    assert done.stderr == ""
