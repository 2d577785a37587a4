"""Mixtures of two images and of their labels, drawn for each image of a batch apart."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainyard.data.erase import span


def partners(count: int, alpha: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return whom each example is mixed with, int64 `[B]`, and its own share, float32 `[B]` from Beta(alpha, alpha)."""
    numpy_draws = np.random.default_rng(
        int(torch.randint(2**62, (), generator=draws))
    )  # torch's Beta takes no generator
    share = torch.from_numpy(numpy_draws.beta(alpha, alpha, count)).float()
    return torch.randperm(count, generator=draws), share


def mixed_labels(y: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Return probabilities `[B, K]` in which each label has its share and the partner's the rest."""
    return torch.lerp(y[partner], y, share[:, None])


def mixup(x: Tensor, y: Tensor, alpha: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Blend images `[B, C, H, W]` and probabilities `[B, K]` (Zhang et al. 2017, arXiv:1710.09412)."""
    partner, share = (drawn.to(x.device) for drawn in partners(len(x), alpha, draws))
    blended = torch.lerp(x[partner].float(), x.float(), share.view(-1, 1, 1, 1))
    return blended, mixed_labels(y, partner, share)


def cutmix(x: Tensor, y: Tensor, alpha: float, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste a rectangle of another image, whose label gets the share of the area (Yun et al. 2019, arXiv:1905.04899).

    Takes images `[B, C, H, W]` and probabilities `[B, K]`.
    """
    partner, share = (drawn.to(x.device) for drawn in partners(len(x), alpha, draws))
    place = torch.rand(2, len(x), generator=draws).to(x.device)
    side = (1 - share).sqrt()
    rows, columns = span(x.shape[2], side, place[0]), span(x.shape[3], side, place[1])
    pasted = rows[:, :, None] & columns[:, None, :]  # [B, H, W]
    kept = 1 - pasted.float().mean(dim=(1, 2))
    return torch.where(pasted[:, None], x[partner], x), mixed_labels(y, partner, kept)


def as_probabilities(y: Tensor, classes: int) -> Tensor:
    """Return labels int64 `[B]` as probabilities `[B, K]`."""
    return F.one_hot(y, classes).float()
