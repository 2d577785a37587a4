"""Callbacks that are not there while they have nothing to do: each that is, is called seven times a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L


class AtTheTest(L.Callback):
    """A callback whose work begins with the test."""


def leave(trainer: L.Trainer, callback: L.Callback) -> None:
    """Take a callback out of a running trainer, when it has done its work."""
    staying = [other for other in trainer.callbacks if other is not callback]  # type: ignore[attr-defined]
    trainer.callbacks = staying  # type: ignore[attr-defined]  # a new list, since the old one is being gone through


@contextmanager
def training_alone(trainer: L.Trainer) -> Iterator[None]:
    """Have those callbacks wait outside that begin with the test."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    waiting = [callback for callback in callbacks if isinstance(callback, AtTheTest)]
    trainer.callbacks = [callback for callback in callbacks if callback not in waiting]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks = [*trainer.callbacks, *waiting]  # type: ignore[attr-defined]
