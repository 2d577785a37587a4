"""The charts under TensorBoard's Custom Scalars."""

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.callbacks.tensorboard import tensorboard_writer

LAYOUT = {
    "train and validation": {
        "loss": ["Multiline", ["train/loss", "val/loss"]],
        "accuracy": ["Multiline", ["train/acc", "val/acc"]],
    },
    "optimization": {
        "learning rate": ["Multiline", ["lr/.*"]],
        "gradient norm": ["Multiline", ["gradient/norm"]],
    },
}


class ChartLayout(L.Callback):
    """Puts training and validation of a metric into one chart, where the scalars have one each."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the layout."""
        leave(trainer, self)
        if writer := tensorboard_writer(trainer):
            writer.add_custom_scalars(LAYOUT)
