"""Memory that does not suffice: a batch is computed in parts, and the numbers stay."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compose
from trainyard.models.mlp import MLP
from trainyard.models.split_batch import SplitBatch
from trainyard.training import train

RUN = ["model=mlp", "data.batch_size=128", "logger=csv", "callbacks=none", "accelerator=cpu"]


def scarce(monkeypatch: pytest.MonkeyPatch, most: int, in_backward: bool = False) -> list[int]:
    """Have memory suffice for so many examples at once; return the sizes that are asked for."""
    asked: list[int] = []
    forward = MLP.forward

    def refuse(_: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def limited(self: MLP, x: Tensor) -> Tensor:
        asked.append(len(x))
        logits = forward(self, x)
        if len(x) > most and in_backward and logits.requires_grad:
            logits.register_hook(refuse)
        elif len(x) > most and not in_backward:
            refuse(x)
        return logits

    monkeypatch.setattr(MLP, "forward", limited)
    return asked


@pytest.mark.parametrize("in_backward", [False, True])
def test_a_run_comes_to_the_same_end(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_backward: bool
) -> None:
    train(compose_run(*RUN, folder="whole"))
    asked = scarce(monkeypatch, 40, in_backward)
    train(compose_run(*RUN, folder="parts"))
    assert asked.count(128) == 1, "it is not tried again"
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "parts")]
    assert results[1]["recovered"] == {"parts_of_a_batch": 4}
    assert "recovered" not in results[0]
    assert results[1]["metrics"] == pytest.approx(results[0]["metrics"], rel=1e-4)
    log = (tmp_path / "parts" / "run.log").read_text()
    assert "out of memory: from now on 32 examples at once, 4 times, for each batch of 128" in log
    stored = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("whole", "parts")
    ]
    assert stored[0]["global_step"] == stored[1]["global_step"] == 20


def test_it_can_be_refused(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    scarce(monkeypatch, 40)
    with pytest.raises(torch.OutOfMemoryError):
        train(compose_run(*RUN, "oom=stop"))


def test_one_example_that_is_too_large_ends_it(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = scarce(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        train(compose_run(*RUN))
    assert min(asked) == 1


def test_other_errors_are_no_lack_of_memory() -> None:
    def wrong() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    split = SplitBatch()
    with pytest.raises(RuntimeError, match="mat1"):
        split.until_it_fits(wrong, 8, lambda: None)
    assert split.parts == 1


def test_gradients_and_statistics_of_parts() -> None:
    """The gradient is that of the whole, and running statistics change once for each part."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    for module in net:
        module.requires_grad_(True)
    x, split = torch.randn(12, 3).double(), SplitBatch()
    expected = nn.BatchNorm1d(4).double()
    split.parts = 3
    split.forward(net, x).square().sum().backward()
    with torch.no_grad():
        for part in x.chunk(3):
            expected(net[0](part))
    assert torch.allclose(net[1].running_mean, expected.running_mean)
    assert torch.allclose(net[1].running_var, expected.running_var)
    assert net[1].momentum == 0.1
    got = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()
    torch.cat([net(part) for part in x.chunk(3)]).square().sum().backward()
    assert all(torch.allclose(one, other.grad) for one, other in zip(got, net.parameters(), strict=True))
