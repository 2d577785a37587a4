"""The first training batch as pictures in TensorBoard: what the model sees, augmentation and all."""

from typing import Any

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.callbacks.tensorboard import tensorboard_writer


class FirstBatch(L.Callback):
    """Shows the first training images of a run under TensorBoard's Images tab, as `train/first_batch`.

    Args:
        most: how many are shown at most, in rows of eight.
    """

    def __init__(self, most: int = 64) -> None:
        self.most = most

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write the pictures before the first step."""
        leave(trainer, self)
        images, writer = batch[0], tensorboard_writer(trainer)
        if writer is not None and images.ndim == 4 and trainer.global_step == 0:
            from torchvision.utils import make_grid

            shown = images[: self.most].float() / 255
            writer.add_image("train/first_batch", make_grid(shown.clamp(0, 1), padding=1, pad_value=0.5), 0)
