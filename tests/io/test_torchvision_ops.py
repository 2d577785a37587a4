"""Each library that needs torchvision imports first in a fresh process, beside whatever build of torch is installed."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from trainyard.io import torchvision_ops
from trainyard.io.torchvision_ops import TorchvisionOps


def fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    ["import lightning", "import timm", "from torchvision.transforms import v2", "import torch, torchvision"],
)
def test_import_first_in_a_fresh_process(statement: str) -> None:
    fresh_python(f"{statement}\nfrom torchvision.transforms import v2; v2.Resize(4)")


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, trainyard; print([m for m in ('torch', 'hydra', 'lightning') if m in sys.modules])"
    assert fresh_python(code).strip() == "[]"


@pytest.mark.parametrize(("library_loaded", "declared"), [(True, 0), (False, 1)])
def test_operators_are_declared_only_if_the_library_did_not_load(
    monkeypatch: pytest.MonkeyPatch, library_loaded: bool, declared: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torchvision_ops, "declare_missing_ops", lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "torchvision.extension", SimpleNamespace(_has_ops=lambda: library_loaded))
    finder = TorchvisionOps()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    finder.find_spec("json.decoder", None)
    assert finder in sys.meta_path
    finder.find_spec("torchvision.ops", None)
    assert len(calls) == declared
    assert finder not in sys.meta_path
