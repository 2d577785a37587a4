"""Removes callbacks that have nothing to do, because Lightning calls seven hooks of each callback in each step."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L


class AfterFit(L.Callback):
    """Base class of callbacks that do nothing before the test."""


def remove_callback(trainer: L.Trainer, callback: L.Callback) -> None:
    """Remove a callback from a running trainer."""
    remaining = [other for other in trainer.callbacks if other is not callback]  # type: ignore[attr-defined]
    trainer.callbacks = remaining  # type: ignore[attr-defined]  # a new list: the old one is being iterated over


@contextmanager
def fit_callbacks_only(trainer: L.Trainer) -> Iterator[None]:
    """Remove the `AfterFit` callbacks inside this context."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    later = [callback for callback in callbacks if isinstance(callback, AfterFit)]
    trainer.callbacks = [callback for callback in callbacks if callback not in later]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks = [*trainer.callbacks, *later]  # type: ignore[attr-defined]
