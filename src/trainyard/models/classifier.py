"""The base of all models: one step and its metrics, written once."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.loader import Batch
from trainyard.data.loading.spec import DataSpec
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.normalize import input_layer
from trainyard.models.optimized import MakeOptimizer, Optimized


class Classifier(Optimized):
    """Learns to name the class of an example. A subclass adds the network and `forward`: raw inputs -> logits `[B, K]`.

    Losses and hits are summed in tensors and logged once an epoch: logging each step costs more than a small
    network's own arithmetic, and would make the device wait.

    Args:
        spec: of the data; a `DataSpec` or what its `to_dict` gave.
        optimizer: called with parameter groups; needed to fit, not to predict.
        scheduler: called with the optimizer, and `total_steps` where it takes it; `None` keeps the rate.
        label_smoothing: share of the target spread over all classes, in the training loss (Szegedy et al. 2016,
            arXiv:1512.00567).
    """

    class_weights: Tensor | None
    inputs: ClassVar[tuple[str, ...]]
    """The kinds of data it can take: `images`, `rows`."""

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
        self.register_buffer("class_weights", weights, persistent=False)  # the spec has them
        self.sums = {}  # by stage

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning's, some fifty times a step, each a search for parameters otherwise
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_compiled_call_impl": self._compiled_call_impl is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_compiled_call_impl": None})  # type: ignore[no-untyped-call]
        if state["_compiled_call_impl"]:  # what torch compiled cannot be pickled, nor used by a copy
            self.compile()

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Return the mean loss of a batch, and add it and the hits to the sums of the stage."""
        x, y = batch
        logits = self(x)
        weights, smoothing = (self.class_weights, self.label_smoothing) if stage == "train" else (None, 0.0)
        loss = F.cross_entropy(logits, y, weights, reduction="sum", label_smoothing=smoothing)
        if stage not in self.sums:
            self.sums[stage] = EpochSums.empty(loss.device)
        self.sums[stage].add(loss, logits, y)
        return loss / max(1, len(y))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss that is minimised."""
        return self.step(batch, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch that chooses the best epoch."""
        self.step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch that is looked at once."""
        self.step(batch, "test")

    def predict_step(self, batch: Tensor | Batch, batch_idx: int) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        x = batch if isinstance(batch, Tensor) else batch[0]
        return self(x).softmax(dim=1)  # type: ignore[no-any-return]

    def log_epoch(self, stage: str, logger: bool | None = None) -> None:
        """Log the mean loss and the accuracy of all examples of the epoch, over all processes.

        Args:
            stage: `train`, `val` or `test`.
            logger: whether Lightning passes them to the loggers, or only to callbacks.
        """
        sums = self.trainer.strategy.reduce(self.sums.pop(stage).stacked(), reduce_op="sum")
        loss, hits, examples = sums.tolist()
        examples = examples or math.nan  # each batch was left out
        scores = {f"{stage}/acc": hits / examples, f"{stage}/loss": loss / examples}
        self.log_dict(scores, sync_dist=True, logger=logger)

    def on_validation_epoch_end(self) -> None:
        """Log `val/loss` and `val/acc`, and with them `train/loss` and `train/acc` since the last validation.

        Those of train are of the weights as they changed on the way.
        """
        self.log_epoch("val")
        if "train" in self.sums:
            self.log_epoch("train")

    def on_train_epoch_end(self) -> None:
        """Log what training has summed since the last validation, if the last batch was not validated.

        The loggers get it here and not from Lightning, which would wait until the checkpoint of the epoch is saved: a
        run that resumes from there would lack these scores.
        """
        if "train" not in self.sums:
            return
        self.log_epoch("train", logger=False)
        trainer = self.trainer
        scores = {name: float(trainer.callback_metrics[name]) for name in ("train/acc", "train/loss")}
        for logger in trainer.loggers:
            step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
            logger.log_metrics({**scores, "epoch": trainer.current_epoch}, step)
            logger.save()

    def on_test_epoch_end(self) -> None:
        """Log `test/loss` and `test/acc`."""
        self.log_epoch("test")

    def blocks_of_maps(self) -> dict[str, nn.Module]:
        """Return the parts whose outputs are feature maps `[B, maps, h, w]`, by name, in order; none by default."""
        return {}
