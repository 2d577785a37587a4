"""What is tried in a process of its own knows nothing of the project, or only what was trusted here."""

import sys
from pathlib import Path

import pytest
import torch

from tests.inference.exportable import build
from trainyard.inference.export import export, max_difference
from trainyard.inference.export_formats import LOAD_TORCH, run_in_fresh_process, write_torch
from trainyard.models.load import load_model


def test_a_graph_that_needed_the_project_would_fail(tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    write_torch(build("numbers"), file)
    with pytest.raises(RuntimeError, match="ModuleNotFoundError: import of trainyard halted"):
        run_in_fresh_process(f"{LOAD_TORCH}\nimport trainyard", file, [torch.zeros(1, 2)])


def test_a_model_of_a_trusted_package_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_mine.py").write_text("from trainyard.models.mlp import MLP\nclass Mine(MLP):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import nets_of_mine

    file = tmp_path / "model.safetensors"
    assert export(nets_of_mine.Mine(build("numbers").spec, [3]).eval(), "safetensors", file) == 0
    assert type(load_model(file, ["nets_of_mine"])) is sys.modules["nets_of_mine"].Mine


def test_other_shapes_are_no_small_difference() -> None:
    assert max_difference([torch.zeros(1, 3)], [torch.zeros(7, 3)]) == float("inf")
    assert max_difference([torch.tensor([[0.5]])], [torch.tensor([[0.25]])]) == 0.25
