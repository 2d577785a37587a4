"""Where the examples of a run lie: on the training device, or where they are read from batch by batch."""

import math
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from trainyard.data.loader import Augment, Loader, ResidentLoader, StreamingLoader
from trainyard.data.order import BatchOrder
from trainyard.data.spec import Examples


class Residence:
    """Decides which loader serves examples.

    Attributes:
        workers: processes that read what is not resident.

    Args:
        resident: `True` keeps all on the device, `False` nothing, `auto` what takes at most `limit`.
        limit: GiB.
        num_workers: `None` for one a core.
    """

    def __init__(self, resident: str | bool, limit: float, num_workers: int | None) -> None:
        self.resident = resident
        self.limit = limit
        self.workers = os.cpu_count() or 1 if num_workers is None else num_workers

    def fits(self, count: int, shape: Sequence[int], item_size: int = 1) -> bool:
        """Whether so many inputs of a shape, of `item_size` bytes a number, are to be kept on the device."""
        size = count * math.prod(shape) * item_size
        return self.resident if isinstance(self.resident, bool) else size <= self.limit * 2**30

    def loader(self, part: Examples, order: BatchOrder, device: torch.device, augment: Augment | None = None) -> Loader:
        """Return the batches of some examples, from where they are to lie."""
        if isinstance(part.x, Tensor) and self.fits(len(part), part.shape, part.x.element_size()):
            return ResidentLoader(Examples(part.x.to(device), part.y.to(device)), order, device, augment)
        return StreamingLoader(part, order, device, augment, self.workers)
