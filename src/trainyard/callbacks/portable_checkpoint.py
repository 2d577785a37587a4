"""Checkpoints from which a model can be rebuilt, whatever its module has saved as hyperparameters."""

import logging
from collections.abc import Iterator
from typing import Any

import lightning as L

from trainyard.callbacks.plain_values import plain_items
from trainyard.io.errors import join_limited

log = logging.getLogger(__name__)


class PortableCheckpoint(L.Callback):
    """Adds the class of the model to checkpoints, and stores those hyperparameters only that are plain values."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Name the hyperparameters that checkpoints will not contain."""
        omitted = []
        for part in parts_with_hyperparameters(trainer):
            stored = plain_items(part.hparams)
            if names := [name for name in map(str, part.hparams) if name not in stored]:
                omitted.append(f"{join_limited(names, 8)} of {type(part).__name__}")
        if omitted and trainer.is_global_zero:
            text = "checkpoints do not contain the hyperparameters %s, which are not plain values; config.yaml does"
            log.warning(text, " and ".join(omitted))

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        kind = type(pl_module)
        checkpoint["model_class"] = f"{kind.__module__}.{kind.__qualname__}"
        for part in parts_with_hyperparameters(trainer):
            checkpoint.pop(part.CHECKPOINT_HYPER_PARAMS_TYPE, None)
            checkpoint[part.CHECKPOINT_HYPER_PARAMS_KEY] = plain_items(part.hparams)


def parts_with_hyperparameters(trainer: L.Trainer) -> Iterator[Any]:
    """Yield the model and the data module, if they have saved hyperparameters."""
    parts: list[Any] = [trainer.lightning_module, trainer.datamodule]  # type: ignore[attr-defined]
    return (part for part in parts if part is not None and part.hparams)
