"""Exported models give the predictions of the checkpoint for raw inputs in batches of any size."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from tests.inference.exportable import KINDS, build
from trainyard.data.loading.target import Numbers
from trainyard.inference import export as module
from trainyard.inference import export_formats
from trainyard.inference.export import export, export_run
from trainyard.inference.export_formats import FORMATS, Format, run_torch, write_safetensors, write_torch
from trainyard.inference.export_interface import largest_difference, output_scale, random_inputs
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model

QUICK = ("rows", "levels", "transfer", "regression", "multilabel")
OUTPUTS = {"regression": "predictions", "regression_log": "predictions"}
DESCRIPTIONS = {
    "regression": {"task": "regression", "targets": ["price", "weight"], "transform": "none"},
    "regression_log": {"task": "regression", "targets": ["price", "weight"], "transform": "log"},
    "multilabel": {"task": "multilabel", "labels": ["a", "b", "c"], "thresholds": [0.5, 0.25, 0.75]},
    "binary": {"task": "classification", "classes": ["low", "high"], "thresholds": [0.375]},
}
SLOW = [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in KINDS]


@pytest.mark.parametrize("kind", SLOW)
def test_onnx_probabilities_match_for_any_batch_size(tmp_path: Path, kind: str) -> None:
    model = build(kind)
    path = tmp_path / "model.onnx"
    assert export(model, "onnx", path) <= 1e-5
    session = onnxruntime.InferenceSession(path)
    assert [(one.name, one.shape[0]) for one in session.get_inputs()] == [("input", "batch")]
    x = random_inputs(model.spec, 33)
    [found] = session.run([OUTPUTS.get(kind, "probabilities")], {"input": x.numpy()})
    np.testing.assert_allclose(found, model.predict_step(x, 0).detach().numpy(), atol=1e-5, rtol=1e-5)
    description = json.loads(session.get_modelmeta().custom_metadata_map["trainyard"])
    assert {**description, **DESCRIPTIONS.get(kind, {"classes": list(model.spec.classes)})} == description
    assert description["input"]["columns"] == [{"name": c.name, "levels": list(c.levels)} for c in model.spec.columns]
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("kind", KINDS)
def test_torch_probabilities_match_for_any_batch_size(tmp_path: Path, kind: str) -> None:
    model = build(kind)
    write_torch(model, tmp_path / "model.pt2")
    again = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 2, 33):
        x = random_inputs(model.spec, count)
        torch.testing.assert_close(again(x), model.predict_step(x, 0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_safetensors_file_rebuilds_the_model(tmp_path: Path, kind: str) -> None:
    model = build(kind)
    write_safetensors(model, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again.spec == model.spec
    assert again.task.thresholds == model.task.thresholds
    x = random_inputs(model.spec, 5)
    assert torch.equal(again.predict_step(x, 0), model.predict_step(x, 0))


@pytest.mark.parametrize("name", [pytest.param("torch", marks=pytest.mark.slow), "safetensors"])
def test_export_is_verified_in_a_fresh_process(tmp_path: Path, name: str) -> None:
    assert export(build("numbers"), name, tmp_path / f"model{FORMATS[name].suffix}") == 0


def test_random_inputs_resemble_training_data() -> None:
    x = random_inputs(build("rows").spec, 500)
    assert x[:, 0].isnan().float().mean().item() == pytest.approx(0.2, abs=0.06)
    assert x[:, 0].nanmean().item() == pytest.approx(3.0, abs=0.3)
    assert sorted(x[:, 1].unique().tolist()) == [0, 1, 2]
    assert random_inputs(build("cnn").spec, 50).unique().numel() == 256


def format_with_error(difference: float) -> Format:
    """A format whose files say something else."""
    form = FORMATS["safetensors"]

    def run(path: Path, inputs: list[Tensor]) -> list[Tensor]:
        model = load_model(path)
        return [model.predict_step(x, 0).detach() + difference for x in inputs]

    return dataclasses.replace(form, run=run)


@pytest.mark.parametrize("difference", [2e-4, -1.0, float("nan")])
def test_file_with_different_probabilities_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("an earlier one")
    monkeypatch.setitem(FORMATS, "safetensors", format_with_error(difference))
    with pytest.raises(ConfigError, match="the probabilities in a reloaded model differ by"):
        export(build("numbers"), "safetensors", path)
    assert path.read_text() == "an earlier one"
    assert list(tmp_path.iterdir()) == [path]


def test_small_difference_is_accepted_and_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "safetensors", format_with_error(5e-5))
    assert export(build("numbers"), "safetensors", tmp_path / "m.safetensors") == pytest.approx(5e-5, rel=0.01)


def test_failed_exporter_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: object, path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], write=fail))
    with pytest.raises(ConfigError, match=r"--format=onnx: MLP cannot be exported \(RuntimeError: no such operator\)"):
        export(build("numbers"), "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ONNX_PACKAGES", ("onnx", "nobody_has_this"))
    with pytest.raises(
        ConfigError, match=r"nobody_has_this is not installed\n  accepted: after `python -m pip install"
    ):
        export_run("latest", "onnx")


def test_program_that_needs_the_project_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.pt2"
    write_torch(build("numbers"), file)
    monkeypatch.setattr(export_formats, "FRESH_PROCESS", export_formats.FRESH_PROCESS + "import trainyard")
    with pytest.raises(RuntimeError, match="ModuleNotFoundError: import of trainyard halted"):
        run_torch(file, [torch.zeros(1, 2)])


def test_model_of_a_trusted_package_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_mine.py").write_text("from trainyard.models.mlp import MLP\nclass Mine(MLP):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import nets_of_mine

    file = tmp_path / "model.safetensors"
    assert export(nets_of_mine.Mine(build("numbers").spec, [3]).eval(), "safetensors", file) == 0
    assert type(load_model(file, ["nets_of_mine"])) is sys.modules["nets_of_mine"].Mine


def test_numbers_are_exported_in_the_units_of_the_data(tmp_path: Path) -> None:
    model = build("regression_log")
    write_torch(model, tmp_path / "model.pt2")
    x = random_inputs(model.spec, 40)
    found = torch.export.load(tmp_path / "model.pt2").module()(x).log()
    with torch.no_grad():
        expected = model(x) * torch.tensor([0.5, 2.0]) + torch.tensor([7.0, -3.0])
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-5)
    assert float(expected.std(dim=0).min()) > 0.05


def test_differences_of_numbers_are_in_standard_deviations() -> None:
    numbers = Numbers(("tiny", "large"), (0.0, 1e6), (1e-6, 1.0))
    expected = torch.tensor([[2e-6, 1e6]])
    scale = output_scale(numbers, expected)
    tiny = [expected + torch.tensor([[1e-7, 0.0]])]
    assert largest_difference(tiny, [expected], [scale]) == pytest.approx(0.1, rel=0.02)
    rounded = [expected + torch.tensor([[0.0, 0.125]])]  # two steps of float32
    assert largest_difference(rounded, [expected], [scale]) < 1e-4
    logarithm = Numbers(("price",), (7.0,), (0.5,), "log")
    assert output_scale(logarithm, torch.tensor([[2000.0]])).item() == pytest.approx(2000 * 0.505)


def test_exported_numbers_that_differ_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "safetensors", format_with_error(2e-4))
    message = r"the predictions in a reloaded model differ by 0.0002\d? standard deviations; the file is removed"
    with pytest.raises(ConfigError, match=message):
        export(build("regression"), "safetensors", tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_different_shapes_are_an_infinite_difference() -> None:
    assert largest_difference([torch.zeros(1, 3)], [torch.zeros(7, 3)]) == float("inf")
    assert largest_difference([torch.tensor([[0.5]])], [torch.tensor([[0.25]])]) == 0.25
