"""What a person types to export a run, the card beside the file, and what it says of a stranger's names."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.inference.exportable import build
from trainyard.config.composition import compose
from trainyard.inference.export import export_run
from trainyard.inference.export_formats import FORMATS
from trainyard.inference.model_card import model_card
from trainyard.run.load_model import load_model
from trainyard.run.training import train
from trainyard.tasks.classification import accuracy_interval


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=3"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


def test_the_file_lies_in_the_run_with_its_card(typed_command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, screen, errors = typed_command("export", str(run), "--format", "torch")
    assert (code, errors) == (0, "")
    assert "verified   by a process with torch alone at batches of 1 and 7: largest difference 0" in screen
    card = (run / "export" / "model_card.md").read_text()
    result = json.loads((run / "result.json").read_text())
    accuracy, count = result["metrics"]["test/acc"], result["data"]["fingerprint"]["test"]["examples"]
    low, high = accuracy_interval(round(accuracy * count), count)
    assert f"test/acc {accuracy:.4f}" in card
    assert f"[{low:.4f}, {high:.4f}]" in card
    for text in ("Adelie", "bill_length_mm", "optimizer=adam", f"test {count}", "model.pt2"):
        assert text in card
    monkeypatch.chdir(run / "export")
    [snippet] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(snippet, names)
    assert names["probabilities"].sum(1).tolist() == pytest.approx([1.0, 1.0])


def test_an_exported_file_is_a_run_to_other_commands(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(path: Path, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return [load_model(path).predict_step(x, 0).detach() for x in inputs]

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=here))
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
    ("words", "code", "said"),
    [
        (["RUN"], 2, "--format"),
        (["RUN", "--format", "onxx"], 2, "invalid choice: 'onxx'"),
        (["nowhere", "--format", "onnx"], 1, "RUN=nowhere: there is no such run"),
        (["RUN", "--format", "torch", "--output", "model.onnx"], 1, "the extension of this format is .pt2"),
        (["RUN", "--format", "torch", "--output", "no/model.pt2"], 1, "no such folder: no"),
        (["RUN", "--format", "torch", "--output", "/proc/model.pt2"], 1, "cannot be written"),
        (["RUN", "--fromat", "onnx"], 2, "unknown option --fromat; did you mean --format?"),
    ],
)
def test_what_cannot_be_is_said_in_a_few_lines(
    typed_command, run: Path, words: list[str], code: int, said: str
) -> None:
    found = typed_command("export", *(str(run) if word == "RUN" else word for word in words))
    assert found[0] == code
    assert said in found[2]
    assert "Traceback" not in found[2]


def test_names_of_strangers_stay_in_their_cells(tmp_path: Path) -> None:
    model = build("rows")
    names = ("a|b\n# heading", "<script>alert(1)</script>")
    model.spec = replace(model.spec, classes=names)
    card = model_card(model, None, {}, "")
    assert "\n# heading" not in card
    assert "a\\|b # heading" in card
