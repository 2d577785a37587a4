"""Removing callbacks from a running trainer."""

from types import SimpleNamespace

import pytest
from lightning.pytorch.callbacks import Callback

from trainyard.callbacks.lifecycle import AfterFit, fit_callbacks_only, remove_callback


def test_remove_callback_replaces_the_list() -> None:
    one, other = Callback(), Callback()
    in_use = [one, other]
    trainer = SimpleNamespace(callbacks=in_use)
    remove_callback(trainer, one)  # type: ignore[arg-type]
    assert trainer.callbacks == [other]
    assert in_use == [one, other]


def test_after_fit_callbacks_are_removed_during_training() -> None:
    later, working, removed = AfterFit(), Callback(), Callback()
    trainer = SimpleNamespace(callbacks=[later, working, removed])
    with fit_callbacks_only(trainer):  # type: ignore[arg-type]
        assert trainer.callbacks == [working, removed]
        remove_callback(trainer, removed)  # type: ignore[arg-type]
    assert trainer.callbacks == [working, later]


def test_after_fit_callbacks_are_restored_after_an_error() -> None:
    later = AfterFit()
    trainer = SimpleNamespace(callbacks=[later])
    with pytest.raises(KeyboardInterrupt), fit_callbacks_only(trainer):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert trainer.callbacks == [later]
