"""A safetensors file loads like a checkpoint, with the same security checks."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.inference.exportable import build
from trainyard.history.find_run import find_checkpoint
from trainyard.io.errors import ConfigError
from trainyard.io.weight_files import write_safetensors
from trainyard.run.load_model import load_model

OWN = """
from trainyard.models.mlp import MLP

class Own(MLP):
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    write_safetensors(build("rows"), path, description="about it")
    return path


def changed(file: Path, **held: Any) -> None:
    """Write the file again with other entries in its header."""
    with safe_open(file, "pt") as opened:
        content = json.loads(opened.metadata()["trainyard"]) | held
        state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file(state, file, {"trainyard": json.dumps(content)})


def test_header_of_a_safetensors_file(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        held = opened.metadata()
    assert held["description"] == "about it"
    content = json.loads(held["trainyard"])
    assert content["model_class"] == "trainyard.models.mlp.MLP"
    assert content["hyper_parameters"]["hidden_dims"] == [5]
    assert content["hyper_parameters"]["spec"]["target"]["names"] == ["low", "high"]


def test_safetensors_file_is_found_like_a_run(file: Path) -> None:
    assert find_checkpoint(str(file)) == file


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"model_class": "torch.os.system"}, "a stored config must not build it here"),
        ({"model_class": "os.system"}, "a stored config must not build it here"),
        ({"model_class": "torch.nn.Linear"}, "a stored config must not build it here"),
        ({"model_class": ["torch"]}, "a stored config must not build it here"),
        ({"hyper_parameters": []}, "no model can be built from it"),
        ({"hyper_parameters": {"spec": {}}}, "no model can be built from it"),
    ],
)
def test_manipulated_header_is_rejected(file: Path, held: dict[str, Any], said: str) -> None:
    changed(file, **held)
    with pytest.raises(ConfigError, match=said) as error:
        load_model(file)
    assert len(str(error.value).splitlines()) <= 2


def test_weights_of_other_programs_are_rejected(tmp_path: Path) -> None:
    for number, metadata in enumerate((None, {"format": "pt"}, {"trainyard": "[]"}, {"trainyard": "no json"})):
        file = tmp_path / f"{number}.safetensors"
        save_file({"weight": torch.zeros(2)}, file, metadata)
        with pytest.raises(ConfigError, match=r"checkpoint=.*safetensors"):
            load_model(file)


def test_truncated_file_is_rejected(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ConfigError, match="unreadable"):
        load_model(file)


def test_checkpoint_with_wrong_extension_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    torch.save({"weight": torch.zeros(2)}, file)
    with pytest.raises(ConfigError, match="unreadable"):
        load_model(file)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model class in a package of the user."""
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_models

    return own_models.Own(build("numbers").spec, [3]).eval()


def test_trusted_package_is_named_explicitly(own: Any, tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    write_safetensors(own, file)
    with pytest.raises(ConfigError, match="--trusted-packages"):
        load_model(file)
    x = torch.randn(4, 2)
    assert torch.equal(load_model(file, ["own_models"]).predict_step(x, 0), own.predict_step(x, 0))
