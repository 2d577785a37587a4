"""Greedy selection of the members of an ensemble."""

import itertools
from pathlib import Path

import pytest
import torch

from tests.history.recorded import SPLIT, predict, record
from tests.sweeps.synthetic import space
from trainyard.config.objective import Objective
from trainyard.inference.ensemble import greedy_selection, loss_and_correct, select_members
from trainyard.sweeps.stored import StoredSweep

LABELS = torch.tensor([0, 0, 1, 1])
GOOD_AT_THE_FIRST = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.55, 0.45]])
GOOD_AT_THE_LAST = torch.tensor([[0.45, 0.55], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
USELESS = torch.full((4, 2), 0.5)


def test_complementary_models_are_selected() -> None:
    members = greedy_selection([GOOD_AT_THE_FIRST, USELESS, GOOD_AT_THE_LAST], LABELS, 2)
    assert members == {0: 1, 2: 1}
    assert loss_and_correct((GOOD_AT_THE_FIRST + GOOD_AT_THE_LAST) / 2, LABELS)[1] == 4


def test_model_is_selected_more_than_once() -> None:
    strong = torch.tensor([[0.99, 0.01], [0.99, 0.01], [0.01, 0.99], [0.01, 0.99]])
    assert greedy_selection([USELESS, strong], LABELS, 3) == {1: 3}


@pytest.mark.parametrize("by_loss", [True, False])
def test_each_member_is_the_best_addition(by_loss: bool) -> None:
    draws = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (60,), generator=draws)
    models = [(torch.randn(60, 3, generator=draws) + torch.eye(3)[labels]).softmax(1) for _ in range(5)]

    def rank(members: tuple[int, ...]) -> tuple[float, float]:
        loss, correct = loss_and_correct(torch.stack([models[place] for place in members]).mean(0), labels)
        return (loss, -correct) if by_loss else (-correct, loss)

    first = min(itertools.product(range(5), repeat=1), key=rank)
    best = min(((*first, other) for other in range(5)), key=rank)
    assert sorted(greedy_selection(models, labels, 2, by_loss).elements()) == sorted(best)


def test_loss_of_a_certain_mistake_is_finite() -> None:
    loss, correct = loss_and_correct(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert loss < 100
    assert correct == 0


def test_members_share_the_fold_of_the_best_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds of a sorted table have the same labels in the same order, but other examples."""
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs/sweeps/S")
    folder.mkdir(parents=True)
    StoredSweep.create(folder, space(["optimizer.lr=1,2", "data.fold=0,1"]), Objective("val/acc", "max"))
    for number, score in enumerate((0.5, 0.6, 0.9, 0.8)):
        fold = {**SPLIT, "inputs": f"fold {number % 2}"}
        run = record(folder / str(number), score, val=fold)
        predict(run, [0, 0, 1, 1], [0, 0, 1, number % 2], ["a", "b"])
    chosen = select_members("best:S", 2)
    assert chosen.best.name == "S/2"
    assert chosen.candidates == 2
    assert {job.name for job in chosen.jobs} <= {"S/0", "S/2"}


def test_numbers_and_labels_are_selected_by_their_loss() -> None:
    targets = torch.tensor([[1.0, 100.0], [2.0, 300.0], [3.0, 200.0]])
    high, low, far = targets + torch.tensor([0.5, 0.0]), targets - torch.tensor([0.5, 0.0]), targets + 400
    assert greedy_selection([far, high, low], targets, 2) == {1: 1, 2: 1}
    assert loss_and_correct((high + low) / 2, targets) == (0.0, 0.0)
    assert loss_and_correct(high, targets)[0] == pytest.approx((0.25 / (2 / 3) + 0) / 2)
    present = torch.tensor([[True, False], [True, True]])
    good, bad = present * 0.8 + 0.1, torch.full((2, 2), 0.5)
    assert greedy_selection([bad, good], present, 2, by_loss=True) == {1: 2}
    assert loss_and_correct(bad, present) == pytest.approx((0.6931, 0.0), abs=1e-4)
