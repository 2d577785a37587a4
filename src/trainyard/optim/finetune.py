"""Fine-tuning plans: when the layers of a pretrained backbone are trained, and at which learning rates."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from torch import nn

from trainyard.optim.optimizers import weight_decay_groups


class Finetune:
    """A plan of when each part of a backbone is unfrozen; the head is always trained.

    Args:
        unfreeze: when each part of the backbone is unfrozen, from the part next to the head down to the input; the
            layers are divided evenly among the parts. A number below 1 is a fraction of the run, a whole number counts
            epochs, 0 is the start; an empty list freezes the backbone.
        layer_decay: learning rate of a layer relative to the next one towards the head (Clark et al. 2020,
            arXiv:2003.10555).
        head_lr_factor: learning rate of the head relative to `optimizer.lr`.
        warmup_fraction: fraction of the run's steps in which the rate of a part rises from 0 after it is unfrozen.
        restart_lr_factor: if set, the schedule restarts for all layers whenever a part is unfrozen, with the rates
            times this (as fastai's `fine_tune`, Howard and Gugger 2020, arXiv:2002.04688).
        freeze_batch_norm: whether the BatchNorm layers of the backbone use the pretrained statistics, while their scale
            and shift are trained. Statistics of few images are poor, and change the input of all later layers. A
            backbone with random weights needs `False`.
    """

    def __init__(
        self,
        unfreeze: Sequence[float] = (),
        layer_decay: float = 1.0,
        head_lr_factor: float = 1.0,
        warmup_fraction: float = 0.0,
        restart_lr_factor: float | None = None,
        freeze_batch_norm: bool = False,
    ) -> None:
        self.unfreeze_times = unfreeze
        self.layer_decay = layer_decay
        self.head_lr_factor = head_lr_factor
        self.warmup_fraction = warmup_fraction
        self.restart_lr_factor = restart_lr_factor
        self.freeze_batch_norm = freeze_batch_norm

    def part(self, layer: int, layers: int) -> int:
        """Return the number of the part of a layer; parts count from the head, layers from the input."""
        return (layers - 1 - layer) * len(self.unfreeze_times) // layers

    def trained_from_start(self, layer: int, layers: int) -> bool:
        """Whether a layer is trained from the first step on."""
        return bool(self.unfreeze_times) and self.unfreeze_times[self.part(layer, layers)] == 0

    def groups(
        self,
        head: nn.Module,
        backbone: nn.Module,
        layer_of: Mapping[str, int],
        total_steps: int,
        epoch_steps: int,
        no_decay: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Return parameter groups of all layers that will be trained, from the head down to the input.

        Each group has `lr_factor`, its rate relative to the optimizer's, and `timing`, the arguments of
        `trainyard.optim.schedules.group_factor`.

        Args:
            layer_of: the layer of each parameter of the backbone, counted from 0 at the input.
            no_decay: names of the backbone's parameters without weight decay, in addition to biases and norms.
        """
        layers = max(layer_of.values()) + 1
        starts = [round(t * total_steps) if t < 1 else round(t) * epoch_steps for t in self.unfreeze_times]
        restarts: dict[str, Any] = {"restarts": [], "restart_lr_factor": 1.0}
        if self.restart_lr_factor is not None:
            restarts = {"restarts": sorted({*starts} - {0}), "restart_lr_factor": self.restart_lr_factor}
        groups = []
        for group in weight_decay_groups(head.named_parameters(), "head_"):
            groups.append({**group, "lr_factor": self.head_lr_factor, "timing": {"start_step": 0, **restarts}})
        for part, factor, chosen in self.split_layers(layers) if self.unfreeze_times else ():
            warmup = round(self.warmup_fraction * total_steps) if starts[part] else 0
            timing = {"start_step": starts[part], "warmup_steps": warmup, **restarts}
            named = ((name, p) for name, p in backbone.named_parameters() if layer_of[name] in chosen)
            for group in weight_decay_groups(named, f"{layer_range(chosen)}_", no_decay):
                groups.append({**group, "lr_factor": factor, "timing": timing})
        return groups

    def split_layers(self, layers: int) -> list[tuple[int, float, list[int]]]:
        """Return groups of layers with the same part and relative rate, as (part, rate, layers)."""

        def part_and_rate(layer: int) -> tuple[int, float]:
            return self.part(layer, layers), self.layer_decay ** (layers - layer)

        return [(*key, sorted(group)) for key, group in groupby(reversed(range(layers)), part_and_rate)]


def layer_range(layers: Sequence[int]) -> str:
    """Return a name for adjacent layers."""
    return f"layer_{layers[0]}" if len(layers) == 1 else f"layers_{layers[0]}-{layers[-1]}"
