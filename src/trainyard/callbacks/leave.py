"""Callbacks that have done their work."""

import lightning as L


def leave(trainer: L.Trainer, callback: L.Callback) -> None:
    """Take a callback out of a running trainer: each that stays is called seven times a step, if only to do nothing."""
    staying = [other for other in trainer.callbacks if other is not callback]  # type: ignore[attr-defined]
    trainer.callbacks = staying  # type: ignore[attr-defined]  # a new list, since the old one is being gone through
