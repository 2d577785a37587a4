"""The config of a run as text in TensorBoard."""

from pathlib import Path

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.callbacks.tensorboard import tensorboard_writer


class ConfigText(L.Callback):
    """Shows the resolved config under TensorBoard's Text tab.

    Args:
        config: the run's `config.yaml`.
    """

    def __init__(self, config: str) -> None:
        self.config = Path(config)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the text."""
        leave(trainer, self)
        writer = tensorboard_writer(trainer)
        if writer is not None:
            lines = self.config.read_text(encoding="utf-8").splitlines()
            writer.add_text("config", "\n".join(f"    {line}" for line in lines))  # four spaces: Markdown's code
