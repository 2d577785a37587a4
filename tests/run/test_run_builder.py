"""Convolutions are channels_last, except where oneDNN would write outside its memory."""

import subprocess
import sys

import pytest
import torch

from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.models.resnet import ResNet
from trainyard.run.run_builder import use_channels_last

BACKWARD = """
import torch
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.run.run_builder import use_channels_last
from trainyard.models.resnet import ResNet
for maps in (3, 4, 8):
    model = ResNet(DataSpec((3, 32, 32), Classes(("a", "b")), (), (0.5,) * 3, (0.2,) * 3), channels=[maps, 8])
    use_channels_last(model)
    for step in range(10):
        model(torch.zeros(16, 3, 32, 32, dtype=torch.uint8)).sum().backward()
"""


def kernel(maps: int) -> torch.Tensor:
    model = ResNet(DataSpec((3, 32, 32), Classes(("a", "b")), (), (0.5,) * 3, (0.2,) * 3), channels=[maps, maps])
    use_channels_last(model)
    return model.net[0].weight


def test_narrow_shortcuts_are_not_channels_last() -> None:
    assert kernel(8).is_contiguous(memory_format=torch.channels_last)
    assert not kernel(7).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_backward_of_narrow_shortcuts_does_not_crash() -> None:
    done = subprocess.run([sys.executable, "-c", BACKWARD], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
