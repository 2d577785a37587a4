"""Parameters that are split among two processors give the run that copies of them give."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy

from tests.distributed import ranks
from tests.distributed.ranks import ON_CPU, TINY, end, start
from trainyard.config.composition import compose, instantiate
from trainyard.optim.optimizers import weight_decay_groups
from trainyard.run.distributed.strategies import DDP, FSDP
from trainyard.run.load_model import load_model

SAME = ("optimizer=adamw", "optimizer.weight_decay=0.1", "model.dropout=0.2")


def test_it_composes() -> None:
    for name, kind in (("fsdp", FSDP), ("ddp", DDP), ("ddp_cpu", DDP)):
        cfg = compose([f"accelerator={name}"])
        assert type(instantiate(cfg.trainer.strategy)) is kind
    assert compose(["accelerator=fsdp"]).trainer.precision == "bf16-mixed"
    assert issubclass(FSDP, FSDPStrategy)


def test_a_share_of_a_matrix_decays_though_it_is_flat() -> None:
    share, bias = torch.nn.Parameter(torch.zeros(7)), torch.nn.Parameter(torch.zeros(7))
    share.whole_ndim = 2  # type: ignore[attr-defined]
    weights, others = weight_decay_groups([("share", share), ("bias", bias)])
    assert weights["params"][0] is share
    assert "weight_decay" not in weights
    assert others["params"][0] is bias
    assert others["weight_decay"] == 0.0


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


def moments(stored: dict[str, Any]) -> list[torch.Tensor]:
    """Adam's averages of the gradients, in the order of the groups."""
    state = stored["optimizer_states"][0]
    return [state["state"][number]["exp_avg"] for group in state["param_groups"] for number in group["params"]]


@pytest.mark.slow
def test_it_learns_what_copies_learn(tmp_path: Path) -> None:
    for name, words in (("split", ("accelerator=fsdp", *ON_CPU)), ("copied", ranks.DDP)):
        done = end(start(tmp_path, *SAME, *words, f"hydra.run.dir={name}"), tmp_path, name)
        assert done.code == 0, done.screen
        assert done.left == []
    split, copied = (checkpoint(tmp_path / name) for name in ("split", "copied"))
    assert split["state_dict"].keys() == copied["state_dict"].keys(), "the whole model, as one process has it"
    for name, tensor in copied["state_dict"].items():
        torch.testing.assert_close(split["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)
    groups, others = (state["optimizer_states"][0]["param_groups"] for state in (split, copied))
    assert [group["weight_decay"] for group in groups] == [group["weight_decay"] for group in others] == [0.1, 0.0]
    for mine, theirs in zip(moments(split), moments(copied), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert split["metrics"]["val/loss"] == pytest.approx(copied["metrics"]["val/loss"], rel=1e-5)
    model = load_model(tmp_path / "split" / "checkpoints" / "best.ckpt")
    examples = instantiate(compose([*TINY]).data).splits["test"]
    with torch.inference_mode():
        hits = int((model(examples.x).argmax(dim=1) == examples.y).sum())
    result = json.loads((tmp_path / "split" / "result.json").read_text())
    assert result["metrics"]["test/acc"] * len(examples) == pytest.approx(hits, abs=1e-3)
