"""The choice of the best epoch."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from trainyard.callbacks.checkpoint_files import write_checkpoint
from trainyard.callbacks.checkpoints import BestCheckpoint
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.objective import Objective


def test_a_tie_is_decided_by_the_lower_loss(tmp_path: Path) -> None:
    scores = ValidationScores("val/acc")
    checkpoint = BestCheckpoint(tmp_path, Objective("val/acc", "max"), scores)
    strategy = SimpleNamespace(broadcast=bool)
    chosen = []
    for accuracy, loss in ((0.9, 0.5), (1.0, 0.4), (1.0, 0.3), (1.0, 0.35), (0.95, 0.1)):
        score = torch.tensor(accuracy)
        scores.latest = {"val/loss": loss, "val/acc": accuracy}
        state = SimpleNamespace(callback_metrics={"val/acc": score}, strategy=strategy)
        chosen.append(checkpoint.check_monitor_top_k(state, score))
        if chosen[-1]:
            checkpoint.best_k_models = {"best": score}
            checkpoint.kth_best_model_path, checkpoint.best_model_score = "best", score
    assert chosen == [True, True, True, False, False]
    assert checkpoint.state_dict()["best_loss"] == pytest.approx(0.3)
    write_checkpoint({}, tmp_path / "best.ckpt")
    restored = BestCheckpoint(tmp_path, Objective("val/acc", "max"), scores)
    restored.load_state_dict(checkpoint.state_dict())
    assert restored.best_loss == checkpoint.best_loss


@pytest.mark.parametrize(("rank", "chosen"), [(0, [True, False, True]), (1, [True, False, True])])
def test_rank_0_decides_for_metrics_that_are_not_synchronized(tmp_path: Path, rank: int, chosen: list[bool]) -> None:
    """Rank 0 sees errors of 3, 4 and 2, rank 1 of 5, 1 and 6."""
    decisions: list[list[bool]] = []
    for errors in ([3.0, 4.0, 2.0], [5.0, 1.0, 6.0]):
        checkpoint = BestCheckpoint(tmp_path, Objective("val/x", "min"), ValidationScores("val/x"))
        decided = iter(decisions[0]) if decisions else None
        strategy = SimpleNamespace(broadcast=lambda own, decided=decided: own if decided is None else next(decided))
        state = SimpleNamespace(strategy=strategy)
        made = []
        for error in map(torch.tensor, errors):
            made.append(checkpoint.check_monitor_top_k(state, error))
            if made[-1]:
                checkpoint.best_model_score = error
        decisions.append(made)
    assert decisions[rank] == chosen
