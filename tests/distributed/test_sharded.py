"""Parameters that are split among two processors give the run that copies of them give."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy

from tests.distributed.ranks import ON_CPU, RERUN, TINY, end, start
from trainyard.config import compose, instantiate
from trainyard.models.load import load_model
from trainyard.processes.replicated import DDP
from trainyard.processes.sharded import FSDP

SAME = ("optimizer=adam", "model.dropout=0.2")


def test_it_composes() -> None:
    for name, kind in (("fsdp", FSDP), ("ddp", DDP), ("ddp_cpu", DDP)):
        cfg = compose([f"accelerator={name}"])
        assert type(instantiate(cfg.trainer.strategy)) is kind
    assert compose(["accelerator=fsdp"]).trainer.precision == "bf16-mixed"
    assert issubclass(FSDP, FSDPStrategy)


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_it_learns_what_copies_learn(tmp_path: Path) -> None:
    for name, words in (("split", ("accelerator=fsdp", *ON_CPU)), ("copied", RERUN)):
        done = end(start(tmp_path, *SAME, *words, f"hydra.run.dir={name}"), tmp_path, name)
        assert done.code == 0, done.screen
        assert done.left == []
    split, copied = (checkpoint(tmp_path / name) for name in ("split", "copied"))
    assert split["state_dict"].keys() == copied["state_dict"].keys(), "the whole model, as one process has it"
    for name, tensor in copied["state_dict"].items():
        torch.testing.assert_close(split["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)
    mine, theirs = (state["optimizer_states"][0]["state"] for state in (split, copied))
    assert mine.keys() == theirs.keys()
    for key, state in theirs.items():
        torch.testing.assert_close(mine[key]["exp_avg"], state["exp_avg"], rtol=1e-4, atol=1e-6)
    assert split["metrics"]["val/loss"] == pytest.approx(copied["metrics"]["val/loss"], rel=1e-5)
    model = load_model(tmp_path / "split" / "checkpoints" / "best.ckpt")
    examples = instantiate(compose([*TINY]).data).splits["test"]
    with torch.inference_mode():
        hits = int((model(examples.x).argmax(dim=1) == examples.y).sum())
    result = json.loads((tmp_path / "split" / "result.json").read_text())
    assert result["metrics"]["test/acc"] * len(examples) == pytest.approx(hits, abs=1e-3)
