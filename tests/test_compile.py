"""torch.compile and kernels in channels_last change the speed, not the run."""

from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from trainyard.run.training import train


def end_of(cfg) -> dict[str, torch.Tensor]:
    train(cfg)
    return torch.load(Path(cfg.run.dir) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_channels_last_reaches_the_kernels(compose_run: Compose) -> None:
    kernels = {}
    for choice in ("true", "false"):
        end = end_of(compose_run("model=cnn", f"channels_last={choice}", "logger=csv", folder=choice))
        kernels[choice] = end["blocks.1.0.weight"]
    assert kernels["true"].is_contiguous(memory_format=torch.channels_last)
    assert not kernels["false"].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(kernels["true"], kernels["false"], atol=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script")  # torch.compile's own imports
def test_a_compiled_run_learns_the_same(compose_run: Compose) -> None:
    compiled = end_of(compose_run("compile=true", folder="compiled"))
    plain = end_of(compose_run(folder="plain"))
    assert compiled.keys() == plain.keys(), "the checkpoint is that of the model as it is written"
    assert all(torch.allclose(compiled[name], plain[name], atol=1e-3) for name in plain)
    assert "no graph" not in (Path(compose_run(folder="compiled").run.dir) / "run.log").read_text()
