"""Any LightningModule with example inputs is exported and compared with its checkpoint, or one line says why not."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.inference.module_runs import UNET, record_module_run
from tests.user_modules.unet import UNet
from trainyard.inference.export import export_run
from trainyard.inference.module_export import write_and_compare
from trainyard.inference.module_formats import ExportedModule
from trainyard.io.errors import ConfigError

TRUSTED = ["tests"]
SLOW_ONNX = pytest.param("onnx", marks=pytest.mark.slow)


class TwoInputs(L.LightningModule):
    """Takes a dict and a tensor, and returns a dict and a tensor."""

    def __init__(self, example: Any) -> None:
        super().__init__()
        self.layer, self.example_input_array = nn.Linear(3, 2), example

    def forward(self, batch: dict[str, Tensor], weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        out = self.layer(batch["x"]) * weight[:, None]
        return {"scores": out, "best": out.argmax(1)}, out.sum(1)


class Branches(L.LightningModule):
    """The path of the computation depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.example_input_array = torch.ones(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


class FixedBatch(L.LightningModule):
    """Works for two examples only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.example_input_array = nn.Linear(3, 2), torch.ones(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).reshape(2, 2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_module_run(tmp_path_factory.mktemp("export") / "run", UNET)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the U-Net example inputs."""
    monkeypatch.setattr(UNet, "example_input_array", torch.rand(1, 1, 16, 16))


def outputs(run: Path, x: Tensor) -> Tensor:
    model = UNet(channels=4).eval()
    model.load_state_dict(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    return model(x).detach()


def test_onnx_file_takes_batches_of_any_size(run: Path, example: None, tmp_path: Path) -> None:
    lines = export_run(str(run), "onnx", tmp_path / "unet.onnx", TRUSTED)
    assert re.search(r"verified   by onnxruntime with batches of 1 and 7: largest difference \S+e-0[5-9]", lines[2])
    x = torch.rand(5, 1, 16, 16)
    [found] = onnxruntime.InferenceSession(tmp_path / "unet.onnx").run(None, {"image": x.numpy()})
    np.testing.assert_allclose(found, outputs(run, x).numpy(), atol=1e-4)


def test_card_shows_how_to_use_the_files(run: Path, example: None, run_command, monkeypatch) -> None:
    words = ["export", str(run), "--trusted-packages", "tests", "--format"]
    for form in ("safetensors", "torch"):
        code, screen, errors = run_command(*words, form)
        assert (code, errors) == (0, "")
        assert "input      image float32 [1, 1, 16, 16]\n" in screen
    card = (run / "export" / "model_card.md").read_text()
    for text in ("UNet, ", "| image | float32 | 1 x 1 x 16 x 16 |", "test/iou", "model=mine"):
        assert text in card
    assert "class" not in card
    monkeypatch.chdir(run / "export")
    names: dict[str, Any] = {}
    for snippet in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
        exec(snippet, names)
    assert names["outputs"].shape == (2, 1, 16, 16), "of the program's own example"
    assert torch.equal(names["weights"]["head.weight"], load_file("model.safetensors")["head.weight"])


def test_weights_are_exported_without_example_inputs(run: Path, tmp_path: Path) -> None:
    lines = export_run(str(run), "safetensors", tmp_path / "unet.safetensors", TRUSTED)
    assert lines[1:3] == ["input      none: weights only", "verified   by comparing all weights"]
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    weights = load_file(tmp_path / "unet.safetensors")
    assert all(torch.equal(weights[name], stored[name]) for name in stored)


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_missing_example_inputs_are_named(run: Path, tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match=f"--format={form}: UNet of .*run has no example_input_array"):
        export_run(str(run), form, None, TRUSTED)
    assert not list(run.glob("export/*.onnx"))


EXAMPLES = {
    "tuple": ({"x": torch.rand(2, 3)}, torch.rand(2)),
    "dict": {"weight": torch.rand(2), "batch": {"x": torch.rand(2, 3)}},
}


@pytest.mark.parametrize("form", [SLOW_ONNX, "torch"])
@pytest.mark.parametrize("kind", ["tuple", pytest.param("dict", marks=pytest.mark.slow)])
def test_nested_inputs_and_outputs_are_exported(tmp_path: Path, form: str, kind: str) -> None:
    exported = ExportedModule(TwoInputs(EXAMPLES[kind]).eval())
    difference, dynamic = write_and_compare(exported, form, tmp_path / "model.pt2")
    assert (difference < 1e-6, dynamic) == (True, True)


@pytest.mark.parametrize("form", [SLOW_ONNX, "torch"])
def test_fixed_batch_size_is_reported(tmp_path: Path, form: str) -> None:
    assert write_and_compare(ExportedModule(FixedBatch().eval()), form, tmp_path / "model.pt2")[1] is False


@pytest.mark.parametrize("form", [SLOW_ONNX, "torch"])
def test_control_flow_that_depends_on_data_is_an_error_of_two_lines(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match=f"--format={form}: Branches cannot be exported") as caught:
        write_and_compare(ExportedModule(Branches().eval()), form, tmp_path / "model.pt2")
    assert str(caught.value).count("\n") == 1


def test_values_that_are_no_tensors_are_kept_and_have_no_shape() -> None:
    pair = NamedTuple("Pair", [("x", Tensor), ("y", int)])(torch.ones(2, 3), 2)
    exported = ExportedModule(TwoInputs(({"a": [torch.zeros(2), 2], "b": (pair, None)}, torch.ones(2))))
    [batch, weight], _ = inputs = exported.inputs(5)
    assert [batch["a"][1], batch["b"][0].y, batch["b"][1]] == [2, 2, None]
    assert [len(tensor) for tensor in (batch["a"][0], batch["b"][0].x, weight)] == [5, 5, 5]
    shapes = exported.dynamic_shapes(inputs)
    assert [shapes["batch"]["a"][1], list(shapes["weight"])] == [None, [0]]
