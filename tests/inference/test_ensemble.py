"""Greedy selection of the members of an ensemble."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.history.recorded import SPLIT, predict, record
from tests.inference.untrained import ROWS
from tests.sweeps.synthetic import space
from trainyard.config.objective import Objective
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.inference.ensemble import Ensemble, average_thresholds, greedy_selection, loss_and_score, select_members
from trainyard.inference.export_interface import random_inputs
from trainyard.models.mlp import MLP
from trainyard.sweeps.stored import StoredSweep

LABELS = torch.tensor([0, 0, 1, 1])
GOOD_AT_THE_FIRST = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.55, 0.45]])
GOOD_AT_THE_LAST = torch.tensor([[0.45, 0.55], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
USELESS = torch.full((4, 2), 0.5)


def test_complementary_models_are_selected() -> None:
    members = greedy_selection([GOOD_AT_THE_FIRST, USELESS, GOOD_AT_THE_LAST], LABELS, 2)
    assert members == {0: 1, 2: 1}
    assert loss_and_score((GOOD_AT_THE_FIRST + GOOD_AT_THE_LAST) / 2, LABELS)[1] == 4


def test_model_is_selected_more_than_once() -> None:
    strong = torch.tensor([[0.99, 0.01], [0.99, 0.01], [0.01, 0.99], [0.01, 0.99]])
    assert greedy_selection([USELESS, strong], LABELS, 3) == {1: 3}


@pytest.mark.parametrize("by_loss", [True, False])
def test_each_member_is_the_best_addition(by_loss: bool) -> None:
    draws = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (60,), generator=draws)
    models = [(torch.randn(60, 3, generator=draws) + torch.eye(3)[labels]).softmax(1) for _ in range(5)]

    def rank(members: tuple[int, ...]) -> tuple[float, float]:
        loss, correct = loss_and_score(torch.stack([models[place] for place in members]).mean(0), labels)
        return (loss, -correct) if by_loss else (-correct, loss)

    first = min(itertools.product(range(5), repeat=1), key=rank)
    best = min(((*first, other) for other in range(5)), key=rank)
    assert sorted(greedy_selection(models, labels, 2, by_loss).elements()) == sorted(best)


def test_loss_of_a_certain_mistake_is_finite() -> None:
    loss, correct = loss_and_score(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert loss < 100
    assert correct == 0
    diverged = torch.tensor([[float("nan")]])
    assert loss_and_score(diverged, torch.tensor([[1.0]])) == (float("inf"), float("-inf"))
    assert loss_and_score(diverged, torch.tensor([[True]])) == (100.0, 0.0)


def test_numbers_are_selected_by_the_error_in_their_variances() -> None:
    """Neither number dominates by its unit: the model that is good at the small one is added, too."""
    targets = torch.tensor([[0.0, 0.0], [1000.0, 1.0], [2000.0, 2.0], [3000.0, 3.0]])
    good_at_large = targets + torch.tensor([0.0, 1.0])
    good_at_small = targets - torch.tensor([300.0, 1.0])
    useless = targets.mean(dim=0).expand(4, 2)
    assert loss_and_score(useless, targets) == pytest.approx((1.0, -1.0))
    for by_loss in (True, False):
        assert greedy_selection([useless, good_at_large, good_at_small], targets, 2, by_loss) == {1: 1, 2: 1}


def test_labels_are_selected_by_micro_f1() -> None:
    targets = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 0]], dtype=torch.bool)
    probabilities = torch.tensor([[0.9, 0.6], [0.4, 0.9], [0.1, 0.1], [0.1, 0.1]])
    loss, score = loss_and_score(probabilities, targets)
    assert score == pytest.approx(2 / 3), "two hits, one wrong, one missed"
    likelihoods = torch.where(targets, probabilities, 1 - probabilities)
    assert loss == pytest.approx(-float(likelihoods.log().mean()))
    assert greedy_selection([probabilities, targets.float()], targets, 1) == {1: 1}


def members(target: Target) -> list[MLP]:
    return [MLP(replace(ROWS, target=target), hidden_dims=[4]).eval() for _ in range(2)]


def test_predicted_numbers_are_averaged_in_their_units() -> None:
    """The jobs of a sweep may standardise or transform the target differently."""
    one, _ = members(Numbers(("price",), (3.0,), (2.0,)))
    other, _ = members(Numbers(("price",), (1.0,), (0.5,), "log"))
    x = random_inputs(ROWS, 9)
    ensemble = Ensemble([one, other], [3, 1]).eval()
    expected = (3 * (one(x) * 2 + 3) + (other(x) * 0.5 + 1).exp()) / 4
    torch.testing.assert_close(ensemble.predict_step(x, 0), expected)
    assert torch.equal(ensemble.task.decisions(expected), expected)


def test_thresholds_are_averaged() -> None:
    one, other = members(Labels(("a", "b")))
    one.task.thresholds[:], other.task.thresholds[:] = [0.5, 0.2], [0.9, 0.4]
    assert average_thresholds([one.task, other.task], [3, 1]).thresholds == pytest.approx([0.6, 0.25])
    assert one.task.thresholds == [0.5, 0.2], "that of the member is unchanged"
    ensemble = Ensemble([one, other], [3, 1])
    assert ensemble.task.decisions(torch.tensor([[0.61, 0.24], [0.59, 0.26]])).tolist() == [
        [True, False],
        [False, True],
    ]
    one, other = members(Classes(("no", "yes")))
    assert average_thresholds([one.task, other.task], [1, 1]).thresholds == []
    one.task.thresholds[:] = [0.3]
    assert average_thresholds([one.task, other.task], [1, 1]).thresholds == pytest.approx([0.4]), "0.5 without one"


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
