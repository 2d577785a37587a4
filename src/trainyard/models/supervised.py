"""The base class of all models: steps and metrics, the optimizer, and checkpoints that rebuild the model."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer

from trainyard.data.loading.loader import Batch
from trainyard.data.loading.spec import DataSpec
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.input_layers import input_layer
from trainyard.optim.optimizers import weight_decay_groups
from trainyard.optim.schedules import count_steps, lightning_scheduler
from trainyard.tasks.build import build_task
from trainyard.tasks.metrics import gather_examples
from trainyard.tasks.task import Task

PRIMITIVES = (str, float, int, list, tuple, dict, type(None))
MakeOptimizer = Callable[[Iterable[Any]], Optimizer]


class OptimizerMixin(L.LightningModule):
    """Builds the optimizer and the schedule when Lightning asks for them.

    Attributes:
        make_optimizer: called with parameter groups; required to fit, not to predict.
        make_scheduler: called with the optimizer, and with `total_steps` if accepted; `None` for a constant rate.
    """

    make_optimizer: MakeOptimizer | None
    make_scheduler: Callable[..., Any] | None

    def parameter_groups(self, total_steps: int, epoch_steps: int) -> list[dict[str, Any]]:
        """Return the parameter groups for a run of `total_steps` optimizer steps; see `Finetune.groups`."""
        return weight_decay_groups((n, p) for n, p in self.named_parameters() if p.requires_grad)

    def build_optimizer(self, total_steps: int, epoch_steps: int) -> dict[str, Any]:
        """Return the optimizer and its schedule in the form of `configure_optimizers`."""
        assert self.make_optimizer is not None, "a model without an optimizer can predict, not fit"
        optimizer = self.make_optimizer(self.parameter_groups(total_steps, epoch_steps))
        for group in optimizer.param_groups:
            group["lr"] *= group.get("lr_factor", 1.0)
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = lightning_scheduler(self.make_scheduler, optimizer, total_steps)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule for the run that starts."""
        total_steps = count_steps(self.trainer)
        epoch_steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        return self.build_optimizer(total_steps, epoch_steps)

    def on_validation_end(self) -> None:
        """Step `ReduceLROnPlateau` once per validation, with the metric that selects the best epoch."""
        if self.trainer.sanity_checking or self.trainer.state.fn != TrainerFn.FITTING:
            return
        monitors = (getattr(callback, "monitor", None) for callback in self.trainer.checkpoint_callbacks)
        monitor = next(filter(None, monitors), "val/loss")
        for config in self.trainer.lr_scheduler_configs:
            if config.reduce_on_plateau:
                self.lr_scheduler_step(config.scheduler, self.trainer.callback_metrics[str(monitor)])


class SupervisedModel(OptimizerMixin):
    """Predicts the target of an example. A subclass adds the network and `forward`: raw inputs -> `[B, output_size]`.

    Checkpoints contain the constructor arguments, also those of subclasses, if they are primitives, lists or dicts.

    Losses and the totals of the metrics are summed in tensors and logged once per epoch: logging each step costs more
    than the forward pass of a small network, and would make the host wait for the device.

    Args:
        spec: the description of the data; a `DataSpec` or the result of its `to_dict`.
        optimizer: called with parameter groups; required to fit, not to predict.
        scheduler: called with the optimizer, and with `total_steps` if it accepts that; `None` for a constant rate.
        label_smoothing: share of the target spread over all classes; 0 for other targets.
        task: the loss, the metrics and the meaning of the outputs; or the arguments of `build_task` for them.

    Attributes:
        output_size: the number of outputs for an example.
    """

    task: Task
    sums: dict[str, EpochSums]
    inputs: ClassVar[tuple[str, ...]]
    """The accepted kinds of data: `images`, `rows`."""
    largest_loss = 1e8  # nats, with which no model learns

    def __init__(
        self,
        spec: DataSpec | Mapping[str, Any],
        optimizer: MakeOptimizer | None = None,
        scheduler: Callable[..., Any] | None = None,
        label_smoothing: float = 0.0,
        task: Task | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec if isinstance(spec, DataSpec) else DataSpec.from_dict(spec)
        self.save_hyperparameters(ignore=["optimizer", "scheduler", "finetune"], logger=False)
        # Other objects, such as the DataSpec, would make the checkpoint unreadable with `weights_only=True`.
        stored = {name: value for name, value in self.hparams.items() if isinstance(value, PRIMITIVES)}
        self.task = task if isinstance(task, Task) else build_task(self.spec.target, task, label_smoothing)
        self.hparams.clear()
        self.hparams.update(stored, spec=self.spec.to_dict())
        self.normalize = input_layer(self.spec)
        self.output_size = self.task.output_size
        self.example_input_array = torch.zeros(2, *self.spec.input_shape)
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.sums = {}  # by stage
        self.kept: list[tuple[Tensor, Tensor]] = []  # outputs and targets of the present validation or test

    def validation_metrics(self) -> list[str]:
        """Return the names of the metrics that are logged in validation; none if a subclass may log others."""
        hooks = ("step", "validation_step", "on_validation_epoch_end", "log_epoch")
        if any(getattr(type(self), name) is not getattr(SupervisedModel, name) for name in hooks):
            return []
        return [f"val/{name}" for name in self.task.metric_modes()]

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets `_current_fx_name` about fifty times per step; `nn.Module` searches its parameters each time.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def step(self, batch: Batch, stage: str) -> Tensor:
        """Return the mean loss of a batch, and add it to the sums of the stage."""
        x, y = batch
        outputs, loss = self.outputs_and_loss(x, y, training=stage == "train")
        if stage not in self.sums:
            self.sums[stage] = EpochSums.empty(self.task.totals, loss.device)
        self.sums[stage].add(loss, outputs, y)
        if stage != "train" and self.task.needs_outputs:
            self.kept.append((outputs.detach(), y))
        return loss / max(1, len(y))

    def outputs_and_loss(self, x: Tensor, y: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Return the outputs of `forward` and the summed loss; a model may train on more than these outputs."""
        outputs = self(x)
        return outputs, self.task.loss(outputs, y, training)

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
        """Return the predictions of the task, such as the probability of each class, `[B, output_size]`."""
        return self.interpret(self(batch if isinstance(batch, Tensor) else batch[0]))

    def interpret(self, outputs: Tensor) -> Tensor:
        """Return the predictions of the task for the outputs of `forward`."""
        return self.task.predictions(outputs)

    def log_epoch(self, stage: str, logger: bool | None = None) -> None:
        """Log the metrics of the task over all examples of the epoch in all processes.

        Args:
            stage: `train`, `val` or `test`.
            logger: `False` to record the scores without writing them to the loggers.
        """
        sums = self.trainer.strategy.reduce(self.sums.pop(stage).stacked(), reduce_op="sum")
        examples = gather_examples(self.kept) if stage != "train" and self.kept else None
        if examples:
            self.kept.clear()
            if self.task.thresholds and "train" in self.sums:
                self.sums["train"].count_pending()  # with the thresholds of their epoch, as if it had been interrupted
        scores = self.task.epoch_scores(sums, examples, choose=self.trainer.state.fn == TrainerFn.FITTING)
        named = {f"{stage}/{name}": value for name, value in scores.items()}
        self.log_dict(named, sync_dist=True, logger=logger)

    def on_validation_epoch_start(self) -> None:
        """Forget the outputs of a validation that was interrupted."""
        self.kept.clear()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what rebuilds the task, with the thresholds chosen so far."""
        thresholds = {"thresholds": [*self.task.thresholds]} if self.task.thresholds else {}
        if "hyper_parameters" in checkpoint:  # not if it was built from parts that a checkpoint cannot contain
            checkpoint["hyper_parameters"]["task"] = {**self.task.config, **thresholds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the chosen thresholds."""
        stored = checkpoint.get("hyper_parameters", {}).get("task") or {}
        self.task.thresholds[:] = stored.get("thresholds", self.task.thresholds)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation, and those of the training since the last validation.

        The training scores are those of the weights during training.
        """
        self.log_epoch("val")
        if "train" in self.sums:
            self.log_epoch("train")

    def on_train_epoch_end(self) -> None:
        """Log the training scores since the last validation, if no validation followed the last batch.

        Lightning would write them to the loggers after it has saved the checkpoint of the epoch, and a run that is
        resumed from that checkpoint would lack them; so they are written here.
        """
        if "train" not in self.sums:
            return
        self.log_epoch("train", logger=False)
        trainer = self.trainer
        names = [name for name in trainer.callback_metrics if name.startswith("train/")]
        scores = {name: float(trainer.callback_metrics[name]) for name in names}
        for logger in trainer.loggers:
            logger.log_metrics({**scores, "epoch": trainer.current_epoch}, trainer.global_step - 1)
            logger.save()

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test."""
        self.log_epoch("test")

    def training_state(self) -> dict[str, Any]:
        """Return the training sums since the last validation."""
        return {stage: sums.state_dict(self.task.counts) for stage, sums in self.sums.items() if stage == "train"}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Restore the training sums."""
        totals = self.task.totals
        self.sums = {stage: EpochSums.from_state_dict(totals, sums, self.device) for stage, sums in state.items()}

    def training_scores(self) -> dict[str, float]:
        """Return the training metrics since the last validation, the loss first; empty before the first batch."""
        sums = self.sums.get("train")
        if not sums or not sums.examples:
            return {}
        loss, examples, *totals = sums.copy().stacked().tolist()  # adding early would change the rounding
        scores = self.task.scores(loss, totals, examples)
        return {f"train/{name}": scores[name] for name in sorted(scores, key=lambda name: name != "loss")}

    def discard_last_batch(self) -> None:
        """Remove the last training batch from the sums."""
        self.sums["train"].remove_last()

    def has_valid_inputs(self, batch: Batch) -> bool:
        """Return whether all inputs of a batch are finite; `normalize` replaces the missing numbers of a table."""
        inputs = batch[0]
        return bool((self.normalize(inputs) if inputs.isnan().any() else inputs).isfinite().all())

    def feature_map_layers(self) -> dict[str, nn.Module]:
        """Return the modules whose outputs are feature maps `[B, maps, h, w]`, by name, in order; none by default."""
        return {}
