"""Losses by name: their construction from a config, and those that torch lacks."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import Tensor, nn

from trainyard.config.composition import instantiate
from trainyard.io.errors import config_error, join_limited

Loss = Callable[[Tensor, Tensor], Tensor]  # of outputs and targets

LOSSES = {  # options of `conf/loss`
    "cross_entropy": "torch.nn.CrossEntropyLoss",
    "focal": "trainyard.tasks.losses.FocalLoss",
    "bce": "torch.nn.BCEWithLogitsLoss",
    "mse": "torch.nn.MSELoss",
    "mae": "torch.nn.L1Loss",
    "huber": "torch.nn.HuberLoss",
    "quantile": "trainyard.tasks.losses.QuantileLoss",
}


class FocalLoss(nn.Module):
    """Cross-entropy with less weight for examples that are predicted well (Lin et al. 2017, arXiv:1708.02002).

    Args:
        gamma: exponent of the weight `(1 - p)^gamma` of an example whose class has the probability p.
        weight: weight of each class `[K]`.
        label_smoothing: share of the target spread over all classes.
    """

    weight: Tensor | None

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.gamma, self.label_smoothing = gamma, label_smoothing
        self.register_buffer("weight", weight)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss `[B]` of each example for logits `[B, K]` and labels `[B]`, or probabilities `[B, K]`."""
        classes = outputs.shape[1]
        shares = F.one_hot(targets, classes).to(outputs.dtype) if targets.ndim == 1 else targets
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.weight is not None:
            shares = shares * self.weight
        logs = outputs.log_softmax(dim=1)
        return -(shares * (1 - logs.exp()) ** self.gamma * logs).sum(dim=1)


class QuantileLoss(nn.Module):
    """The pinball loss, whose minimum is a quantile of the target (Koenker and Bassett 1978).

    Args:
        quantile: between 0 and 1; 0.5 is the median.
    """

    def __init__(self, quantile: float = 0.5) -> None:
        super().__init__()
        if not 0 < quantile < 1:
            raise config_error("loss.quantile", quantile, "not a quantile", "a number between 0 and 1")
        self.quantile = quantile

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss `[B, T]` of each number for numbers and their targets, both `[B, T]`."""
        errors = targets - outputs
        return torch.maximum(self.quantile * errors, (self.quantile - 1) * errors)


def build_loss(
    fitting: Sequence[str],
    config: Mapping[str, Any] | None = None,
    reduction: str = "none",
    has_weights: bool = False,
    label_smoothing: float = 0.0,
) -> Loss:
    """Build the loss of a task, a function of outputs and targets.

    Args:
        fitting: names of `LOSSES` that fit the task, the default first.
        config: with a `_target_`; `None` for the default.
        reduction: passed to a loss that accepts it.
        has_weights: whether the data has class weights.
        label_smoothing: of the model.

    Raises:
        ConfigError: the loss is one for another task, or has no class weights or label smoothing.
    """
    node = {"_target_": LOSSES[fitting[0]], **{k: v for k, v in (config or {}).items() if v is not None}}
    kind = resolve_name(node["_target_"])
    names = {resolve_name(target): name for name, target in LOSSES.items()}
    name = names.get(kind, kind.__name__)
    if name in LOSSES and name not in fitting:
        accepted = f"{join_limited(fitting)}, or a class of your own"
        raise config_error("loss", name, "does not fit the task", accepted)
    accepts = inspect.signature(kind).parameters
    if has_weights and "weight" not in accepts:
        raise config_error("data.class_weights", "given", f"loss={name} has no class weights", "none, or another loss")
    if label_smoothing and "label_smoothing" not in accepts:
        raise config_error("model.label_smoothing", label_smoothing, f"loss={name} has none", "0, or another loss")
    given = {"reduction": reduction, **({"label_smoothing": label_smoothing} if label_smoothing else {})}
    arguments = {key: value for key, value in given.items() if key in accepts and key not in node}
    loss: Loss = instantiate(OmegaConf.create(node), **arguments)
    return loss
