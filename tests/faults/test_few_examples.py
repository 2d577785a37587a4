"""Classes of one or two examples: training gets the first, and no part loses or shares any."""

import pytest
import torch

from trainyard.data.loading.splits import stratified_split


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, {"train": 1, "val": 0, "test": 0}), (2, {"train": 1, "val": 1, "test": 0})]
)
def test_a_small_class_goes_to_training_first(count: int, sizes: dict[str, int]) -> None:
    labels = torch.cat([torch.zeros(40, dtype=torch.int64), torch.ones(count, dtype=torch.int64)])
    parts = stratified_split(labels, {"val": 0.15, "test": 0.15}, seed=0)
    assert {name: int((labels[index] == 1).sum()) for name, index in parts.items()} == sizes
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(40 + count))
