"""A model whose checkpoint alone rebuilds it, and tells how good it was."""

from typing import Any

import lightning as L

from trainyard.data.loading.spec import DataSpec


class SelfDescribing(L.LightningModule):
    """Adds to a checkpoint what `trainyard.models.load.load_model` needs."""

    spec: DataSpec
    label_smoothing: float

    def keep_hyperparameters(self, **arguments: Any) -> None:
        """Store what rebuilds the network, as primitives: a checkpoint must load with `weights_only=True`."""
        plain = {
            name: value if isinstance(value, str | float | int | None) else list(value)
            for name, value in arguments.items()
        }
        stored = {"spec": self.spec.to_dict(), **plain, "label_smoothing": self.label_smoothing}
        self.save_hyperparameters(stored, logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class of the model, and the validation scores of this moment."""
        kind = type(self)
        checkpoint["model_class"] = f"{kind.__module__}.{kind.__qualname__}"
        scores = self.trainer.callback_metrics
        checkpoint["metrics"] = {name: float(scores[name]) for name in scores if name.startswith("val/")}
