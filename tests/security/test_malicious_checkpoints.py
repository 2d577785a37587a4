"""An untrusted checkpoint never executes code."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.models.mlp import MLP
from trainyard.run.load_model import load_model

SPEC = DataSpec((1, 2, 2), Classes(("a", "b")), (), (0.5,), (0.2,))


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def valid_checkpoint() -> dict[str, Any]:
    """Return the content of a checkpoint of a small network."""
    model = MLP(SPEC, [3])
    name = "trainyard.models.mlp.MLP"
    return {"model_class": name, "hyper_parameters": dict(model.hparams), "state_dict": model.state_dict()}


def save_checkpoint(folder: Path, **changes: Any) -> Path:
    path = folder / "best.ckpt"
    torch.save({**valid_checkpoint(), **changes}, path)
    return path


def rejection(path: Path) -> str:
    """Return the error of loading a checkpoint, which must have at most two lines."""
    with pytest.raises(ConfigError) as error:
        load_model(path)
    assert len(str(error.value).splitlines()) <= 2
    return str(error.value)


def test_valid_checkpoint_loads(tmp_path: Path) -> None:
    model = load_model(save_checkpoint(tmp_path))
    assert not model.training
    assert model.predict_step(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), 0).sum().item() == pytest.approx(1)


@pytest.mark.parametrize("where", ["model_class", "hyper_parameters", "state_dict", "extra"])
def test_pickled_commands_are_not_run(tmp_path: Path, where: str) -> None:
    trace = tmp_path / "ran"
    path = save_checkpoint(tmp_path, **{where: Payload(os.system, f"touch {trace}")})
    assert "contains more than weights, possibly code" in rejection(path)
    assert not trace.exists()


@pytest.mark.parametrize("function", [eval, exec, os.mkdir, getattr, torch.load])
def test_pickled_functions_are_not_called(tmp_path: Path, function: Any) -> None:
    path = save_checkpoint(tmp_path, extra=Payload(function, "1"))
    assert "possibly code" in rejection(path)


def test_pickle_files_are_not_loaded(tmp_path: Path) -> None:
    import pickle

    trace = tmp_path / "ran"
    path = tmp_path / "best.ckpt"
    path.write_bytes(pickle.dumps(Payload(os.system, f"touch {trace}")))
    rejection(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "subprocess.Popen",
        "torch.os.system",
        "trainyard.io.weight_files.torch.load",
        "trainyard.run.training.train",
        "trainyard.run.run.shutil.rmtree",
        "torch.nn.Linear",
        "trainyard.models.supervised.SupervisedModel.__subclasshook__",
        "builtins.eval",
        "trainyard",
        "",
        "trainyard.models.mlp:MLP",
        "trainyard.models..mlp.MLP",
        "../../evil.MLP",
        7,
        None,
    ],
)
def test_other_classes_are_not_instantiated(tmp_path: Path, name: Any) -> None:
    assert "model_class" in rejection(save_checkpoint(tmp_path, model_class=name))


def test_checks_import_no_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass MLP: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    rejection(save_checkpoint(tmp_path, model_class="evil.MLP"))
    assert not (tmp_path / "ran").exists()


def test_trusted_package_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_alone.py").write_text("from trainyard.models.mlp import MLP\nclass Mine(MLP): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = save_checkpoint(tmp_path, model_class="mine_alone.Mine")
    rejection(path)
    assert type(load_model(path, ["mine_alone"])).__name__ == "Mine"


@pytest.mark.parametrize("key", ["_instantiator", "_class_path", "optimizer", "strange"])
def test_unknown_arguments_are_ignored(tmp_path: Path, key: str) -> None:
    hparams = {**valid_checkpoint()["hyper_parameters"], key: "os.system"}
    path = save_checkpoint(tmp_path, hyper_parameters=hparams)
    load_model(path)


def test_backbone_weights_are_not_loaded_again(tmp_path: Path) -> None:
    from trainyard.models.transfer import TransferModel
    from trainyard.run.load_model import constructor_arguments

    assert constructor_arguments(TransferModel, {"backbone": "x", "weights": "/etc/passwd"})["weights"] == "none"


@pytest.mark.parametrize(
    "changes",
    [
        {"hyper_parameters": {}},
        {"hyper_parameters": {"spec": 3, "hidden_dims": [3]}},
        {"hyper_parameters": [1, 2]},
        {"state_dict": {}},
        {"state_dict": {"net.1.weight": torch.zeros(9, 9)}},
        {"state_dict": 3},
    ],
)
def test_damaged_checkpoint_is_reported(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "no model can be built from it" in rejection(save_checkpoint(tmp_path, **changes))


def test_other_files_are_rejected(tmp_path: Path) -> None:
    text, archive, cut = tmp_path / "a.ckpt", tmp_path / "b.ckpt", tmp_path / "c.ckpt"
    text.write_text("hello")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../escape", "x")
    cut.write_bytes(save_checkpoint(tmp_path).read_bytes()[:500])
    for path in (text, archive, cut, tmp_path / "none.ckpt", tmp_path):
        assert str(path) in rejection(path)
    torch.save([1, 2, 3], text)
    assert "its model class is missing" in rejection(text)
