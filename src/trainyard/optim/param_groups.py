"""Parameter groups: what is decayed and what is not."""

from typing import Any

from torch import nn


def without_decay_on_biases_and_norms(model: nn.Module) -> list[dict[str, Any]]:
    """Return the trainable parameters in two groups; vectors and scalars (biases, norms) get `weight_decay: 0`.

    Decay pulls a weight towards 0, which regularises a weighted sum, but only displaces a bias or the scale of a norm
    (He et al. 2018, arXiv:1812.01187). timm has the same rule; here it does not import timm's thousand models.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in trainable if parameter.ndim >= 2]
    spared = [parameter for parameter in trainable if parameter.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"name": "weights", "params": decayed},
        {"name": "biases_and_norms", "params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
