"""Mixtures of images carry the mixture of their labels."""

import torch

from trainyard.data.draws import generator
from trainyard.data.mix import as_probabilities, cutmix, mixup, partners

COUNT, CLASSES = 200, 4


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of one value each, 0, 85, 170 or 255 as their label says."""
    y = torch.arange(COUNT) % CLASSES
    x = (y * 85).to(torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16).contiguous()
    return x, as_probabilities(y, CLASSES)


def test_mixup_blends_as_the_labels_say() -> None:
    x, y = batch()
    mixed, labels = mixup(x, y, 0.5, generator(0))
    assert torch.allclose(labels.sum(1), torch.ones(COUNT))
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), labels @ (torch.arange(CLASSES) * 85.0), atol=0.01)
    assert len(set(labels.amax(1).tolist())) > 50, "each image has its own share"


def test_cutmix_pastes_as_large_a_part_as_the_labels_say() -> None:
    x, y = batch()
    mixed, labels = cutmix(x, y, 1.0, generator(0))
    assert mixed.dtype == torch.uint8
    for value in range(CLASSES):
        share = (mixed[:, 0] == value * 85).float().mean(dim=(1, 2))
        assert torch.allclose(share, labels[:, value], atol=1e-6)
    assert torch.equal(mixed[:, 0], mixed[:, 2]), "all channels of a rectangle"


def test_shares_follow_the_beta_distribution() -> None:
    _, share = partners(20000, 0.4, generator(0))
    # Beta(a, a) has the variance 1 / (4 (2a + 1)).
    assert abs(float(share.mean()) - 0.5) < 0.01
    assert abs(float(share.var()) - 1 / (4 * 1.8)) < 0.005


def test_the_draws_decide() -> None:
    x, y = batch()
    assert torch.equal(mixup(x, y, 0.5, generator(1))[0], mixup(x, y, 0.5, generator(1))[0])
    assert not torch.equal(mixup(x, y, 0.5, generator(1))[0], mixup(x, y, 0.5, generator(2))[0])
