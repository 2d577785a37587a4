"""When the parts of a pre-trained backbone begin to learn, and at which rates."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

from torch import nn

from trainyard.optim.param_groups import without_decay_on_biases_and_norms


class Finetune:
    """A plan of which parts of a backbone learn when; the head always does.

    Args:
        thaw: when each part of the backbone joins, from the part next to the head down to the input; the layers are
            divided evenly among the parts. A number below 1 is a fraction of the run, a whole one counts epochs, 0 is
            the start; an empty list freezes the backbone for good.
        layer_decay: rate of a layer relative to its neighbour's towards the head (Clark et al. 2020,
            arXiv:2003.10555).
        head_lr_factor: rate of the head relative to `optimizer.lr`.
        warmup_fraction: of the run's steps, in which the rate of a part that joins later rises from 0.
        restart_lr_factor: when a part joins, the schedule starts anew for all, with the rates times this (as fastai's
            `fine_tune`, Howard and Gugger 2020, arXiv:2002.04688); `None` lets it go on.
        freeze_batch_norm: whether the BatchNorm layers of the backbone keep the statistics of its weights, while their
            scale and shift learn. Few images give poor statistics, which change what all later layers see. A backbone
            with random weights needs `False`.
    """

    def __init__(
        self,
        thaw: Sequence[float] = (),
        layer_decay: float = 1.0,
        head_lr_factor: float = 1.0,
        warmup_fraction: float = 0.0,
        restart_lr_factor: float | None = None,
        freeze_batch_norm: bool = False,
    ) -> None:
        self.thaw = thaw
        self.layer_decay = layer_decay
        self.head_lr_factor = head_lr_factor
        self.warmup_fraction = warmup_fraction
        self.restart_lr_factor = restart_lr_factor
        self.freeze_batch_norm = freeze_batch_norm

    def part(self, layer: int, layers: int) -> int:
        """Return the part of a layer, counted from the head; layers count from the input."""
        return (layers - 1 - layer) * len(self.thaw) // layers

    def learns_at_once(self, layer: int, layers: int) -> bool:
        """Whether a layer learns from the first step on."""
        return bool(self.thaw) and self.thaw[self.part(layer, layers)] == 0

    def groups(
        self,
        head: nn.Module,
        backbone: nn.Module,
        layer_of: Mapping[str, int],
        total_steps: int,
        epoch_steps: int,
        spared: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """Return all parameters that will learn in groups, from the head down to the input.

        Each group has `lr_factor`, by which its rate differs from the optimizer's, and `timing`, the arguments of
        `trainyard.optim.timing.timed`.

        Args:
            head, backbone: the networks.
            layer_of: the layer of each of the backbone's parameters, counted from 0 at the input.
            total_steps, epoch_steps: optimizer steps of the run and of an epoch.
            spared: names of the backbone's parameters that are not to decay, beside biases and norms.
        """
        layers = max(layer_of.values()) + 1
        joins = [round(when * total_steps) if when < 1 else round(when) * epoch_steps for when in self.thaw]
        timing: dict[str, Any] = {"restarts": [], "restart_lr_factor": 1.0}
        if self.restart_lr_factor is not None:
            timing = {"restarts": sorted({*joins} - {0}), "restart_lr_factor": self.restart_lr_factor}
        groups = without_decay_on_biases_and_norms(head.named_parameters(), "head_")
        groups = [{**group, "lr_factor": self.head_lr_factor, "timing": {"joins": 0, **timing}} for group in groups]
        for part, factor, chosen in self.bands(layers) if self.thaw else ():
            warmup = round(self.warmup_fraction * total_steps) if joins[part] else 0
            when = {"joins": joins[part], "warmup_steps": warmup, **timing}
            named = ((name, p) for name, p in backbone.named_parameters() if layer_of[name] in chosen)
            for group in without_decay_on_biases_and_norms(named, f"{span(chosen)}_", spared):
                groups.append({**group, "lr_factor": factor, "timing": when})
        return groups

    def bands(self, layers: int) -> list[tuple[int, float, list[int]]]:
        """Return the part, the rate relative to the optimizer's, and the layers of all that share both."""

        def alike(layer: int) -> tuple[int, float]:
            return self.part(layer, layers), self.layer_decay ** (layers - layer)

        return [(*both, sorted(chosen)) for both, chosen in groupby(reversed(range(layers)), alike)]


def span(layers: Sequence[int]) -> str:
    """Return a name for neighbouring layers."""
    return f"layer_{layers[0]}" if len(layers) == 1 else f"layers_{layers[0]}-{layers[-1]}"
