"""With `trainer.deterministic=true`, torch refuses what is not deterministic, from the first step to the test."""

import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from tests.determinism.tiny_runs import PICTURES, RUNS, run
from trainyard.config.composition import load_options

seen: list[tuple[str, bool]] = []


class Watch(L.Callback):
    """Notes whether torch refuses, and what cuBLAS is told, at each batch."""

    def look(self, stage: str) -> None:
        told = os.environ.get("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
        seen.append((stage, torch.are_deterministic_algorithms_enabled() and told))

    def on_fit_start(self, *arguments: Any) -> None:
        self.look("fit")

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.look("train")

    def on_test_batch_end(self, *arguments: Any) -> None:
        self.look("test")


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", RUNS)
def test_every_model_trains_and_is_tested_so(name: str, tmp_path: Path) -> None:
    seen.clear()
    run(tmp_path, *RUNS[name], f"+callbacks.watch._target_={__name__}.Watch")
    assert {stage for stage, _ in seen} == {"fit", "train", "test"}
    assert all(refuses for _, refuses in seen)


def test_a_run_beside_it_is_not_held_to_it(tmp_path: Path) -> None:
    run(tmp_path / "strict", *RUNS["mlp"])
    seen.clear()
    run(tmp_path / "free", *RUNS["mlp"], "trainer.deterministic=false", f"+callbacks.watch._target_={__name__}.Watch")
    assert seen
    assert not any(refuses for _, refuses in seen)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="on a GPU, other algorithms are not deterministic")
@pytest.mark.parametrize("augment", load_options("augment"))
@pytest.mark.parametrize("name", ["cnn", "resnet", "transfer"])
def test_a_gpu_finds_the_same_twice(name: str, augment: str, tmp_path: Path) -> None:
    words = (*RUNS[name], *PICTURES, f"augment={augment}", "accelerator=gpu", "callbacks=pictures", "logger=both")
    first = run(tmp_path / "first", *words, *(["finetune=full"] if name == "transfer" else []))
    again = run(tmp_path / "again", *words, *(["finetune=full"] if name == "transfer" else []))
    for key, weights in first.weights.items():
        assert torch.equal(weights, again.weights[key]), key
    assert again.result == first.result
