"""`trainyard export`: its files, also after errors and interruptions, and how other commands use them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.history.recorded import record
from tests.inference.exportable import build
from tests.inference.untrained import save
from trainyard.config.composition import compose
from trainyard.inference.export import export, export_run
from trainyard.inference.export_formats import FORMATS
from trainyard.reports.class_predictions import accuracy_interval
from trainyard.run.load_model import load_model
from trainyard.run.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on penguins."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=3"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


def test_model_and_card_are_written_into_the_run(run_command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, screen, errors = run_command("export", str(run), "--format", "torch")
    assert (code, errors) == (0, "")
    assert "verified   by a process with torch alone at batches of 1 and 7: largest difference 0" in screen
    card = (run / "export" / "model_card.md").read_text()
    result = json.loads((run / "result.json").read_text())
    accuracy, count = result["metrics"]["test/acc"], result["data"]["fingerprint"]["test"]["examples"]
    low, high = accuracy_interval(round(accuracy * count), count)
    assert f"| test/acc | {accuracy:.4g} | {result['baseline']['test/acc']:.4g} |" in card
    assert card.index("| val/acc |") < card.index("| val/loss |"), "the objective is first"
    assert f"The baseline is a constant prediction: always '{result['baseline']['class']}'." in card
    assert f"[{low:.4f}, {high:.4f}]" in card
    for text in ("Adelie", "bill_length_mm", "optimizer=adam", f"test {count}", "model.pt2"):
        assert text in card
    monkeypatch.chdir(run / "export")
    [snippet] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(snippet, names)
    assert names["probabilities"].sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_exported_file_can_be_exported_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_in_process(path: Path, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [load_model(path).predict_step(x, 0).detach() for x in inputs]

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=run_in_process))
    file = tmp_path / "given.safetensors"
    export_run(str(run), "safetensors", file)
    export_run(str(file), "safetensors")
    again = tmp_path / "export" / "model.safetensors"
    assert again.is_file()
    x = torch.randn(3, 4)
    ours, theirs = load_model(run / "checkpoints" / "best.ckpt"), load_model(again)
    assert torch.equal(ours.predict_step(x, 0), theirs.predict_step(x, 0))
    card = (tmp_path / "export" / "model_card.md").read_text()
    assert "a checkpoint without its run" in card
    assert "Unknown" in card


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["RUN"], 2, "--format"),
        (["RUN", "--format", "onxx"], 2, "invalid choice: 'onxx'"),
        (["nowhere", "--format", "onnx"], 1, "RUN=nowhere: unknown run"),
        (["RUN", "--format", "torch", "--output", "model.onnx"], 1, "the extension of this format is .pt2"),
        (
            ["RUN", "--format", "torch", "--output", "no/model.pt2"],
            1,
            "--output=no/model.pt2: cannot be written (No such file or directory)",
        ),
        (["RUN", "--format", "torch", "--output", "/proc/model.pt2"], 1, "cannot be written"),
        (["RUN", "--fromat", "onnx"], 2, "unknown option --fromat; did you mean --format?"),
    ],
)
def test_bad_input_is_rejected_without_a_traceback(
    run_command, run: Path, words: list[str], code: int, message: str
) -> None:
    exit_code, _, errors = run_command("export", *(str(run) if word == "RUN" else word for word in words))
    assert exit_code == code
    assert message in errors
    assert "Traceback" not in errors


def expected_outputs(path: Path, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [build("numbers").predict_step(x, 0).detach() for x in inputs]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare safetensors files without a fresh process."""
    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=expected_outputs))


@pytest.fixture
def recorded(tmp_path: Path, in_process: None) -> Path:
    """A run that consists of a record and a checkpoint."""
    folder = record(tmp_path / "run").folder
    (folder / "checkpoints").mkdir()
    save(build("numbers"), folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture
def export_command(run_command):
    """Run `trainyard export` to safetensors in the folder of the run; return exit code and stderr."""

    def run(*words: str) -> tuple[int, str]:
        code, _, errors = run_command("export", *words, "--format", "safetensors")
        return code, errors

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_model_and_card_are_written(recorded: Path, export_command) -> None:
    assert export_command("run") == (0, "")
    assert names(recorded / "export") == ["model.safetensors", "model_card.md"]


def test_interrupted_export_leaves_no_files(recorded: Path, export_command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path, inputs: list) -> list:
        assert path.is_file()
        raise KeyboardInterrupt

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=stopped))
    before = names(recorded)
    assert export_command("run") == (130, "interrupted\n")
    assert names(recorded) == before


def test_wrong_export_leaves_no_files(recorded: Path, export_command, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path, inputs: list) -> list:
        return [x + 2e-4 for x in expected_outputs(path, inputs)]

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=wrong))
    before = names(recorded)
    code, errors = export_command("run")
    assert code == 1
    assert "the probabilities in a reloaded model differ by 0.0002; the file is removed" in errors
    assert names(recorded) == before


def test_link_out_of_the_run_is_not_followed(recorded: Path, export_command, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (recorded / "export").symlink_to(outside)
    code, errors = export_command("run")
    assert (code, names(outside)) == (1, [])
    assert "outside of the run" in errors


def test_link_in_place_of_the_file_is_replaced(recorded: Path, export_command, tmp_path: Path) -> None:
    (recorded / "export").mkdir()
    for name in ("model.safetensors", "model_card.md"):
        (tmp_path / f"mine {name}").write_text("mine")
        (recorded / "export" / name).symlink_to(tmp_path / f"mine {name}")
    assert export_command("run") == (0, "")
    for name in ("model.safetensors", "model_card.md"):
        assert (tmp_path / f"mine {name}").read_text() == "mine"
        assert not (recorded / "export" / name).is_symlink()


def test_link_in_place_of_the_draft_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: None
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 7)
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".model.7.draft.safetensors").symlink_to(tmp_path / "mine")
    assert export(build("numbers"), "safetensors", tmp_path / "model.safetensors") == 0
    assert (tmp_path / "mine").read_text() == "mine"


def test_checkpoint_without_a_run_is_exported_beside_it(recorded: Path, export_command) -> None:
    alone = recorded.parent / "given" / "m.ckpt"
    alone.parent.mkdir()
    (recorded / "checkpoints" / "best.ckpt").rename(alone)
    assert export_command("given/m.ckpt") == (0, "")
    assert names(alone.parent / "export") == ["model.safetensors", "model_card.md"]


def test_output_must_not_be_a_folder(recorded: Path, export_command, tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    for folder, message in (
        ("run", "the extension of this format is .safetensors\n  accepted: run.safetensors\n"),
        ("folder.safetensors", "cannot be written (Is a directory)"),
    ):
        code, errors = export_command("run", "--output", folder)
        assert code == 1
        assert f"--output={folder}: {message}" in errors
    assert names(tmp_path / "folder.safetensors") == []
