"""Parameter groups: what is decayed and what is not."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatch
from typing import Any

from torch import nn


def without_decay_on_biases_and_norms(
    named: Iterable[tuple[str, nn.Parameter]], name: str = "", spared: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return parameters in two groups; vectors and scalars (biases, norms) get `weight_decay: 0`.

    Decay pulls a weight towards 0, which regularises a weighted sum, but only displaces a bias or the scale of a norm
    (He et al. 2018, arXiv:1812.01187). timm has the same rule; here it does not import timm's thousand models.

    Args:
        named: parameters with their names.
        name: what precedes the names of the groups, `weights` and `biases_and_norms`.
        spared: names of further parameters without decay, or patterns of such as `pos_embed.*`.
    """
    weights: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter_name, parameter in named:
        dimensions = getattr(parameter, "whole_ndim", parameter.ndim)  # a share of a split one is flat
        plain = dimensions < 2 or any(fnmatch(parameter_name, pattern) for pattern in spared)
        (others if plain else weights).append(parameter)
    groups: list[dict[str, Any]] = [
        {"name": f"{name}weights", "params": weights},
        {"name": f"{name}biases_and_norms", "params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
