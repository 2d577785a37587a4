"""Callbacks that have done their work are no longer called."""

from types import SimpleNamespace

from lightning.pytorch.callbacks import Callback

from trainyard.callbacks.leave import leave


def test_the_one_that_leaves_is_gone_and_the_list_in_use_stays_whole() -> None:
    one, other = Callback(), Callback()
    in_use = [one, other]
    trainer = SimpleNamespace(callbacks=in_use)
    leave(trainer, one)  # type: ignore[arg-type]
    assert trainer.callbacks == [other]
    assert in_use == [one, other]
