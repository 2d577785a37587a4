"""Files that hold no weights for a backbone are named, and never run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from trainyard.data.loading.spec import DataSpec
from trainyard.errors import ConfigError
from trainyard.models.transfer import TransferModel

THREE = DataSpec((3, 64, 64), ("a", "b", "c"), (), (0.5,) * 3, (0.25,) * 3)


class Payload:
    """Runs code when it is unpickled without care."""

    def __reduce__(self) -> tuple:
        return (print, ("executed",))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (Path.mkdir, "not a regular file"),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 8), "not a checkpoint"),
    "empty": (Path.touch, "not a checkpoint"),
    "payload": (lambda path: torch.save({"state_dict": Payload()}, path), "not a checkpoint"),
    "no tensors": (lambda path: torch.save({"epoch": 3}, path), "it contains no state dict"),
    "a list": (lambda path: torch.save([torch.zeros(1)], path), "it contains no state dict"),
    "other network": (lambda path: torch.save(nn.Linear(2, 2).state_dict(), path), "none of its 2 tensors fits"),
}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture, kind: str, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    make, problem = BAD[kind]
    make(path)
    if suffix == "safetensors" and path.is_file():
        problem = "not a checkpoint"  # what torch.save writes is none
    with pytest.raises(ConfigError, match=rf"model\.weights={path}: {problem}.*\n  accepted: "):
        TransferModel(THREE, backbone="test_resnet", weights=str(path))
    assert "executed" not in capsys.readouterr().out
