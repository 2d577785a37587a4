"""Which models of a sweep to average: greedy selection on the validation predictions that each job kept."""

from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def greedy_selection(predictions: Sequence[Tensor], labels: Tensor, size: int, by_loss: bool = False) -> Counter[int]:
    """Return how often each model is in the ensemble that greedy selection finds (Caruana et al. 2004, ICML).

    The ensemble begins empty; `size` times, the model is added with which the mean of all is best, be it in already.
    So a strong model may count twice, and what does not help stays out.

    Args:
        predictions: of each model, probabilities `[N, K]` of the same examples.
        labels: int64 `[N]`.
        size: members, counted as often as they are in.
        by_loss: whether the smallest loss wins, instead of the most examples that are right; equal ones are told
            apart by the other.

    Returns:
        The number of times by the position of each model that is in; the most frequent need not come first.
    """
    members: Counter[int] = Counter()
    total = torch.zeros_like(predictions[0])
    for count in range(1, size + 1):
        scored = []
        for position, one in enumerate(predictions):
            loss, hits = loss_and_hits((total + one) / count, labels)
            rank = (loss, -hits) if by_loss else (-hits, loss)
            scored.append((*rank, position))
        best = min(scored)[-1]
        members[int(best)] += 1
        total = total + predictions[int(best)]
    return members


def loss_and_hits(probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean loss of probabilities, and how many examples they get right."""
    tiny = torch.finfo(probabilities.dtype).tiny
    loss = F.nll_loss(probabilities.clamp(min=tiny).log(), labels)
    return float(loss), float((probabilities.argmax(dim=1) == labels).sum())
