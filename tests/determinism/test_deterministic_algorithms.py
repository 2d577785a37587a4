"""With `trainer.deterministic=true`, torch only uses deterministic algorithms, from the first step to the test."""

import os
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from tests.determinism.tiny_runs import PICTURES, RUNS, run
from trainyard.config.composition import load_options

states: list[tuple[str, bool]] = []


class RecordState(L.Callback):
    """Records at each batch whether torch and cuBLAS use deterministic algorithms only."""

    def record(self, stage: str) -> None:
        cublas = os.environ.get("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
        states.append((stage, torch.are_deterministic_algorithms_enabled() and cublas))

    def on_fit_start(self, *arguments: Any) -> None:
        self.record("fit")

    def on_train_batch_end(self, *arguments: Any) -> None:
        self.record("train")

    def on_test_batch_end(self, *arguments: Any) -> None:
        self.record("test")


@pytest.fixture(autouse=True)
def restore_torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("name", RUNS)
def test_every_model_uses_deterministic_algorithms(name: str, tmp_path: Path) -> None:
    states.clear()
    run(tmp_path, *RUNS[name], f"+callbacks.state._target_={__name__}.RecordState")
    assert {stage for stage, _ in states} == {"fit", "train", "test"}
    assert all(deterministic for _, deterministic in states)


def test_a_later_run_is_not_affected(tmp_path: Path) -> None:
    run(tmp_path / "strict", *RUNS["mlp"])
    states.clear()
    run(
        tmp_path / "free",
        *RUNS["mlp"],
        "trainer.deterministic=false",
        f"+callbacks.state._target_={__name__}.RecordState",
    )
    assert states
    assert not any(deterministic for _, deterministic in states)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="on a GPU, other algorithms are not deterministic")
@pytest.mark.parametrize("augment", load_options("augment"))
@pytest.mark.parametrize("name", ["cnn", "resnet", "transfer"])
def test_runs_on_a_gpu_are_repeatable(name: str, augment: str, tmp_path: Path) -> None:
    words = (*RUNS[name], *PICTURES, f"augment={augment}", "accelerator=gpu", "callbacks=pictures", "logger=both")
    first = run(tmp_path / "first", *words, *(["finetune=full"] if name == "transfer" else []))
    again = run(tmp_path / "again", *words, *(["finetune=full"] if name == "transfer" else []))
    for key, weights in first.weights.items():
        assert torch.equal(weights, again.weights[key]), key
    assert again.result == first.result
