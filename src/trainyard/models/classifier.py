"""The base class of all models: training, validation and test steps with their metrics."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.loader import Batch
from trainyard.data.loading.spec import DataSpec
from trainyard.models.base import MakeOptimizer, OptimizerMixin, PortableCheckpoint
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.input_layers import input_layer


class Classifier(OptimizerMixin, PortableCheckpoint):
    """Predicts the class of an example. A subclass adds the network and `forward`: raw inputs -> logits `[B, K]`.

    Losses and correct predictions are summed in tensors and logged once per epoch: logging each step costs more than
    the forward pass of a small network, and would make the host wait for the device.

    Args:
        spec: of the data; a `DataSpec` or the result of its `to_dict`.
        optimizer: called with parameter groups; needed to fit, not to predict.
        scheduler: called with the optimizer, and with `total_steps` if it accepts that; `None` for a constant rate.
        label_smoothing: share of the target spread over all classes, in the training loss (Szegedy et al. 2016,
            arXiv:1512.00567).
    """

    class_weights: Tensor | None
    sums: dict[str, EpochSums]
    inputs: ClassVar[tuple[str, ...]]
    """The kinds of data that it accepts: `images`, `rows`."""

    def __init__(
        self,
        spec: DataSpec | Mapping[str, Any],
        optimizer: MakeOptimizer | None = None,
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.spec = spec if isinstance(spec, DataSpec) else DataSpec.from_dict(spec)
        self.normalize = input_layer(self.spec)
        self.example_input_array = torch.zeros(2, *self.spec.input_shape)
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.label_smoothing = label_smoothing
        weights = torch.tensor(self.spec.class_weights) if self.spec.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)  # the spec contains them
        self.sums = {}  # by stage

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets this about fifty times per step; `nn.Module` would search its parameters each time.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Return the mean loss of a batch, and add it to the sums of the stage."""
        x, y = batch
        logits = self(x)
        weights, smoothing = (self.class_weights, self.label_smoothing) if stage == "train" else (None, 0.0)
        loss = F.cross_entropy(logits, y, weights, reduction="sum", label_smoothing=smoothing)
        if stage not in self.sums:
            self.sums[stage] = EpochSums.empty(loss.device)
        self.sums[stage].add(loss, logits, y)
        return loss / max(1, len(y))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss to minimise."""
        return self.step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a validation batch to the sums."""
        self.step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a test batch to the sums."""
        self.step(batch, "test")

    def predict_step(self, batch: Tensor | Batch, batch_idx: int) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        x = batch if isinstance(batch, Tensor) else batch[0]
        return self(x).softmax(dim=1)  # type: ignore[no-any-return]

    def log_epoch(self, stage: str, logger: bool | None = None) -> None:
        """Log the mean loss and the accuracy over all examples of the epoch, of all processes.

        Args:
            stage: `train`, `val` or `test`.
            logger: `False` to leave out the loggers.
        """
        sums = self.trainer.strategy.reduce(self.sums.pop(stage).stacked(), reduce_op="sum")
        loss, correct, examples = sums.tolist()
        examples = examples or math.nan  # all batches were skipped
        scores = {f"{stage}/acc": correct / examples, f"{stage}/loss": loss / examples}
        self.log_dict(scores, sync_dist=True, logger=logger)

    def on_validation_epoch_end(self) -> None:
        """Log `val/loss` and `val/acc`, and `train/loss` and `train/acc` since the last validation.

        The training scores are those of the weights during training.
        """
        self.log_epoch("val")
        if "train" in self.sums:
            self.log_epoch("train")

    def on_train_epoch_end(self) -> None:
        """Log the training scores since the last validation, if no validation followed the last batch.

        They go to the loggers here: Lightning would pass them on after the checkpoint of the epoch is saved, and a run
        resumed from that checkpoint would lack them.
        """
        if "train" not in self.sums:
            return
        self.log_epoch("train", logger=False)
        trainer = self.trainer
        scores = {name: float(trainer.callback_metrics[name]) for name in ("train/acc", "train/loss")}
        for logger in trainer.loggers:
            logger.log_metrics({**scores, "epoch": trainer.current_epoch}, trainer.global_step - 1)
            logger.save()

    def on_test_epoch_end(self) -> None:
        """Log `test/loss` and `test/acc`."""
        self.log_epoch("test")

    def training_state(self) -> dict[str, Any]:
        """Return the training sums since the last validation."""
        return {stage: sums.state_dict() for stage, sums in self.sums.items() if stage == "train"}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Restore the training sums."""
        self.sums = {stage: EpochSums.from_state_dict(sums, self.device) for stage, sums in state.items()}

    def training_scores(self) -> dict[str, float]:
        """Return `train/loss` and `train/acc` since the last validation; empty before the first batch."""
        sums = self.sums.get("train")
        return dict(zip(("train/loss", "train/acc"), sums.means(), strict=True)) if sums and sums.examples else {}

    def discard_last_batch(self) -> None:
        """Remove the last training batch from the sums."""
        self.sums["train"].remove_last()

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the modules whose outputs are feature maps `[B, maps, h, w]`, by name, in order; none by default."""
        return {}
