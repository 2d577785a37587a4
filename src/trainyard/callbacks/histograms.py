"""The weights of each layer and their gradients, as histograms."""

import lightning as L
from torch.optim import Optimizer

from trainyard.callbacks.budget import budget_of
from trainyard.callbacks.tensorboard import tensorboard_writer

PART = 0.3  # of the budget: the rest is for the pictures at the end
SECONDS_EACH, SECONDS_A_NUMBER = 2e-3, 4e-8  # to bin a tensor


class Histograms(L.Callback):
    """Shows all that learns, and its gradients, under Histograms and Distributions.

    At the last step of an epoch, as often as the budget of the run allows.
    """

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Write, if it does not take too long; later, validation takes the gradients away."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        writer, budget = tensorboard_writer(trainer), budget_of(trainer)
        learning = [(name, p) for name, p in pl_module.named_parameters() if p.requires_grad]
        seconds = sum(2 * (SECONDS_EACH + SECONDS_A_NUMBER * p.numel()) for _, p in learning)
        if writer is None or not budget.allows(seconds, PART):
            return
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        with budget.spending():
            for name, parameter in learning:
                writer.add_histogram(f"weights/{name}", parameter, step)
                if parameter.grad is not None:
                    writer.add_histogram(f"gradients/{name}", parameter.grad, step)
