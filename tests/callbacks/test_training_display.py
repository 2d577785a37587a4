"""The numbers that a person sees of a training on a terminal."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainyard.callbacks import training_display as module
from trainyard.callbacks.training_display import TrainingDisplay, epoch_label
from trainyard.models.epoch_sums import EpochSums

CPU = torch.device("cpu")


class Clock:
    """Time that passes when it is told to."""

    now = 50.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    own = Clock()
    monkeypatch.setattr(module, "time", own)
    return own


def counter(done: int) -> Any:
    return SimpleNamespace(current=SimpleNamespace(ready=done))


def trainer(**changes: Any) -> Any:
    """In the third of ten epochs of 8 batches and 2 of validation, 4 batches done."""
    loop = SimpleNamespace(batch_progress=counter(4), val_loop=SimpleNamespace(batch_progress=counter(0)))
    metrics = {"val/acc": torch.tensor(0.4)}
    state = {
        "current_epoch": 2, "max_epochs": 10, "max_steps": -1, "accumulate_grad_batches": 1, "world_size": 1,
        "num_training_batches": 8, "num_val_batches": [2], "validating": False, "callback_metrics": metrics,
        "fit_loop": SimpleNamespace(epoch_loop=loop),
    }  # fmt: skip
    return SimpleNamespace(**{**state, **changes})


def model() -> Any:
    return SimpleNamespace(sums={})


def test_validation_is_part_of_what_is_to_be_done() -> None:
    state = trainer()
    display = TrainingDisplay(state, model())
    assert display.share == pytest.approx((2 + 4 / 10) / 10)
    loop = state.fit_loop.epoch_loop
    loop.batch_progress, loop.val_loop.batch_progress, state.validating = counter(8), counter(1), True
    assert display.share == pytest.approx((2 + 9 / 10) / 10)


def test_steps_may_end_it_before_the_epochs_do() -> None:
    assert TrainingDisplay(trainer(max_steps=40), model()).share == pytest.approx((2 + 4 / 10) / 5)
    twice = trainer(max_steps=16, accumulate_grad_batches=2)
    assert TrainingDisplay(twice, model()).share == pytest.approx((2 + 4 / 10) / 4)


def test_time_to_go_is_at_the_pace_since_this_start(clock: Clock) -> None:
    state = trainer()
    display = TrainingDisplay(state, model())
    assert display.time_to_go() == ""
    clock.now += 12
    state.current_epoch = 3
    assert display.time_to_go() == "79 s to go", "12 s for a tenth; 0.66 is left"
    clock.now += 600
    assert display.time_to_go() == "67 min to go"


def test_examples_a_second_are_of_training_alone_over_all_processes(clock: Clock) -> None:
    display = TrainingDisplay(trainer(world_size=2), model())
    assert display.activity() == ""
    display.examples, clock.now = 3000, clock.now + 2
    assert display.activity() == "3,000 examples/s"
    display.begin_validation()
    clock.now += 0.9
    assert display.activity() == "3,000 examples/s", "a short validation is not worth a word"
    clock.now += 0.2
    assert display.activity() == "validating 0/2"
    display.end_validation()
    display.examples, clock.now = 6000, clock.now + 1
    assert display.activity() == "4,000 examples/s", "6000 in 3 s, twice"


def test_scores_of_an_earlier_epoch_are_marked_or_left_out() -> None:
    network, state = model(), trainer()
    state.callback_metrics |= {"train/loss": torch.tensor(0.9), "train/acc": torch.tensor(0.3)}
    display = TrainingDisplay(state, network)
    assert display.scores() == "train/loss -  train/acc -", "those are of the epoch before"
    network.sums["train"] = EpochSums.empty(CPU)
    assert display.scores() == "train/loss -  train/acc -", "before the first batch of an epoch"
    network.sums["train"].add(torch.tensor(6.0), torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500"
    display.begin_validation()
    display.end_validation()
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500  val/acc 0.4000"
    state.current_epoch = 5
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500  val/acc 0.4000 (ep. 3)"


def test_a_run_without_a_known_end_has_no_share_and_no_time_to_go() -> None:
    display = TrainingDisplay(trainer(max_epochs=-1), model())
    assert (display.share, display.time_to_go()) == (0.0, "")
    assert [epoch_label(trainer(max_epochs=epochs), align=True) for epochs in (-1, 10)] == ["epoch 3", "epoch  3/10"]


def test_to_look_at_an_epoch_changes_no_bit_of_its_sums() -> None:
    draws = torch.Generator().manual_seed(0)
    looked_at, left = EpochSums.empty(CPU), EpochSums.empty(CPU)
    for _ in range(100):
        loss, logits = 1e3 * torch.rand((), generator=draws), torch.rand(3, 4, generator=draws)
        for sums in (looked_at, left):
            sums.add(loss, logits, torch.tensor([0, 1, 2]))
        looked_at.means()
    assert torch.equal(looked_at.stacked(), left.stacked())
