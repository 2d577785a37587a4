"""A batch that does not fit into memory: the error suggests a smaller one."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.conftest import Compose
from trainyard.io.errors import ConfigError
from trainyard.models.mlp import MLP
from trainyard.run.training import train

RUN = ["model=mlp", "trainer.max_epochs=2", "logger=csv", "callbacks=none", "accelerator=cpu"]


def limit(monkeypatch: pytest.MonkeyPatch, most: int, in_backward: bool = False) -> None:
    """Let memory suffice for `most` examples at once."""
    forward = MLP.forward

    def refuse(_: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def limited(self: MLP, x: Tensor) -> Tensor:
        logits = forward(self, x)
        if len(x) > most and in_backward and logits.requires_grad:
            logits.register_hook(refuse)
        elif len(x) > most and not in_backward:
            refuse(x)
        return logits

    monkeypatch.setattr(MLP, "forward", limited)


@pytest.mark.parametrize("in_backward", [False, True])
def test_suggested_overrides_fit_into_memory(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_backward: bool
) -> None:
    limit(monkeypatch, 40, in_backward)
    with pytest.raises(ConfigError) as error:
        train(compose_run(*RUN, "data.batch_size=64", "trainer.accumulate_grad_batches=3", folder="large"))
    first, _, accepted = str(error.value).partition("\n  accepted: ")
    assert first == "data.batch_size=64: not enough memory"
    assert accepted == "data.batch_size=32 trainer.accumulate_grad_batches=6"
    assert json.loads((tmp_path / "large" / "result.json").read_text())["status"] == "failed"
    if in_backward:  # batches for validation are larger and would not fit forward either
        train(compose_run(*RUN, *accepted.split(), folder="small"))
        assert json.loads((tmp_path / "small" / "result.json").read_text())["status"] == "completed"


def test_one_example_does_not_fit_into_memory(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 0)
    with pytest.raises(ConfigError, match=r"data\.batch_size=1: not enough memory\n  accepted: a smaller model"):
        train(compose_run(*RUN, "data.batch_size=1"))
