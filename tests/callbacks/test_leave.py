"""Callbacks that have done their work, or have none yet, are not called."""

from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import Callback

from trainyard.callbacks.leave import AtTheTest, leave, training_alone


def test_the_one_that_leaves_is_gone_and_the_list_in_use_stays_whole() -> None:
    one, other = Callback(), Callback()
    in_use = [one, other]
    trainer = SimpleNamespace(callbacks=in_use)
    leave(trainer, one)  # type: ignore[arg-type]
    assert trainer.callbacks == [other]
    assert in_use == [one, other]


def test_those_of_the_test_wait_outside_while_it_trains() -> None:
    waiting, working, leaving = AtTheTest(), Callback(), Callback()
    trainer = SimpleNamespace(callbacks=[waiting, working, leaving])
    with training_alone(trainer):  # type: ignore[arg-type]
        assert trainer.callbacks == [working, leaving]
        leave(trainer, leaving)  # type: ignore[arg-type]
    assert trainer.callbacks == [working, waiting]


def test_they_are_back_when_training_fails() -> None:
    waiting = AtTheTest()
    trainer = SimpleNamespace(callbacks=[waiting])
    with pytest.raises(KeyboardInterrupt), training_alone(trainer):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert trainer.callbacks == [waiting]
