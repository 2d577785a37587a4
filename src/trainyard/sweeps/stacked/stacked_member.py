"""The job of a stack: its model, and what a single run would have logged and saved."""

from dataclasses import dataclass, field, replace
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from trainyard.callbacks.checkpoints import BestCheckpoint
from trainyard.callbacks.plain_values import plain_items
from trainyard.models.mlp import MLP
from trainyard.models.supervised import SupervisedModel


@dataclass(frozen=True)
class Epoch:
    """An epoch of a network, counted from 0, with the number of steps until its end and the validation scores."""

    number: int
    steps: int
    scores: dict[str, float]
    thresholds: list[float]
    weights: list[Tensor]


@dataclass(eq=False)
class Member:
    """The network of a job, with what a single run would have logged.

    Attributes:
        model: of a single run; its trainable parameters are views of the stack.
        seed: of the order of its examples.
        selection: compares its epochs.
        optimizer: of a single run.
        places: of the parameter groups that correspond to its own in the optimizer of the stack.
        rows: logged values by name, each with its step.
        last, best: the last and the best epoch.
        test: scores of the best weights for the test examples.
        error: what has ended the job.
    """

    model: SupervisedModel
    seed: int
    selection: BestCheckpoint
    optimizer: Any = None
    places: list[int] = field(default_factory=list)
    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    last: Epoch = field(init=False)
    best: Epoch = field(init=False)
    test: dict[str, float] = field(default_factory=dict)
    error: BaseException | None = None

    @property
    def network(self) -> nn.Sequential:
        """The trainable layers."""
        return self.model.net if isinstance(self.model, MLP) else nn.Sequential(self.model.head)  # type: ignore[arg-type]

    def log(self, step: int, row: dict[str, float]) -> None:
        """Add values, unless the job has failed."""
        if self.error is None:
            self.rows.append((step, row))

    def add_epoch(self, trainer: L.Trainer, epoch: Epoch) -> None:
        """Store an epoch, also as the best if it is."""
        self.last, selection = epoch, self.selection
        selection.scores.latest = epoch.scores
        score = torch.tensor(epoch.scores[str(selection.monitor)])
        if selection.check_monitor_top_k(trainer, score):
            selection.current_score = selection.best_model_score = score
            selection.best_model_path = selection.path
            self.best = replace(epoch, weights=[weight.clone() for weight in epoch.weights])

    def curves(self) -> dict[str, list[float]]:
        """Return the scores of all epochs by name."""
        epochs = [row for _, row in self.rows if "val/loss" in row]
        return {name: [row[name] for row in epochs] for name in epochs[0] if name != "epoch"} if epochs else {}

    def checkpoint(self, epoch: Epoch) -> dict[str, Any]:
        """Return a checkpoint from which the model can be rebuilt, with the weights of an epoch."""
        model = self.model
        trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
        weights = {name: weight.cpu().clone() for name, weight in zip(trained, epoch.weights, strict=True)}
        chosen, model.task.thresholds[:] = [*model.task.thresholds], epoch.thresholds
        content = {
            "epoch": epoch.number,
            "global_step": epoch.steps,
            "pytorch-lightning_version": L.__version__,
            "state_dict": {name: weights.get(name, value.cpu()) for name, value in model.state_dict().items()},
            "hyper_parameters": plain_items(model.hparams),
            "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
            "metrics": epoch.scores,
        }
        model.on_save_checkpoint(content)
        model.task.thresholds[:] = chosen
        return content
