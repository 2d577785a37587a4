"""Two processes thaw a backbone together."""

from pathlib import Path

import pytest
import torch

from tests.models.watch import watched


@pytest.mark.slow
def test_two_processes_learn_what_one_would(tmp_path: Path) -> None:
    plan = (
        *("finetune=gradual", "model.backbone=test_vit", "optimizer=sgd", "optimizer.lr=0.01"),
        *("trainer.max_epochs=2", "finetune.thaw=[0.34,0.67]", "+trainer.limit_train_batches=3"),
    )
    alone = watched(tmp_path / "alone", *plan)
    watched(tmp_path / "two", *plan, "accelerator=ddp_cpu", "data.batch_size=16")
    first, second = (torch.load(tmp_path / "two" / f"watch-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert set(first["steps"]) == set(alone["steps"]) == set(range(6))
    assert [len(step["learns"]) for step in first["steps"].values()] == [0, 0, 50, 50, 78, 78]
    for number, step in first["steps"].items():
        other, one = second["steps"][number], alone["steps"][number]
        if number:  # a new head gives all examples the same first loss
            assert step["loss"] != other["loss"], "each process has examples of its own"
        assert (step["loss"] + other["loss"]) / 2 == pytest.approx(one["loss"], rel=1e-4)
        for name, tensor in step["after"].items():
            assert torch.equal(tensor, other["after"][name])
            assert torch.allclose(tensor, one["after"][name], atol=1e-5)
    assert not [
        name for name, tensor in first["start"].items() if torch.equal(tensor, first["steps"][5]["after"][name])
    ]
    assert (tmp_path / "two" / "run.log").read_text().count("3x32x32 for the backbone") == 1
