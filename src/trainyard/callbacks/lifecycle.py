"""Callbacks that are removed while they have nothing to do: Lightning calls each of them seven times a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L


class AfterFit(L.Callback):
    """A callback whose work starts with the test."""


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
