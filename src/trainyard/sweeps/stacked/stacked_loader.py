"""The training batches of a stack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from trainyard.data.loading.loader import Batch, Loader


@dataclass(eq=False)
class StackedLoader(Loader):
    """Yields the batches of S loaders together: inputs and targets `[S, B, ...]`."""

    loaders: Sequence[Loader] = ()

    @classmethod
    def for_seeds(cls, loader: Loader, seeds: Sequence[int]) -> "StackedLoader":
        """Return a loader with the order and the augmentation that single runs with these seeds have."""
        loaders = [replace(loader, sampler=replace(loader.sampler, seed=seed)) for seed in seeds]
        return cls(loader.examples, loader.sampler, loader.device, loaders=loaders)

    def load_batches(self) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        for loader in self.loaders:
            loader.sampler.set_epoch(self.sampler.epoch)
        for batches in zip(*self.loaders, strict=True):
            x, y = zip(*batches, strict=True)
            yield torch.stack(x), torch.stack(y)
