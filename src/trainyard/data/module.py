"""The DataModule that all sources share: splits, spec, and resident batches."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import lightning as L
import torch

from trainyard.data.loader import Augment, ResidentLoader
from trainyard.data.spec import DataSpec, Examples
from trainyard.data.splits import stratified_split
from trainyard.errors import reject


class DataModule(L.LightningDataModule, ABC):
    """Splits the examples of a source, stratified, and serves them in batches from the training device.

    A source is a subclass with `kind`, `classes`, `features` (for rows) and `read()`.

    Args:
        batch_size: examples in a batch of each device.
        val_fraction: share of the examples that chooses the best epoch.
        test_fraction: share of the examples that is looked at once, at the end.
        seed: of the split; apart from the run's, so that runs with other seeds share their test examples.
        augment: random changes of the training images, `None` for none.
        order_seed: of the order of the training examples and the draws of `augment`; the run's seed.

    Raises:
        ConfigError: fractions that leave nothing to train on, or a batch larger than the training split.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()

    def __init__(
        self,
        batch_size: int,
        val_fraction: float,
        test_fraction: float,
        seed: int = 0,
        augment: Augment | None = None,
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        if val_fraction + test_fraction >= 1:
            accepted = f"below {1 - test_fraction:g}, so that something is left to train on"
            raise reject("data.val_fraction", val_fraction, f"with data.test_fraction={test_fraction:g}", accepted)
        self.batch_size = batch_size
        self.fractions = {"val": val_fraction, "test": test_fraction}
        self.seed = seed
        self.augment = augment
        self.order_seed = order_seed

    @abstractmethod
    def read(self) -> Examples:
        """Return every example of the source: images uint8 `[N, C, H, W]` or rows float32 `[N, F]`."""

    @cached_property
    def splits(self) -> dict[str, Examples]:
        """The examples of `train`, `val` and `test`, read and split at the first look."""
        examples = self.read()
        parts = stratified_split(examples.y, self.fractions, self.seed)
        size = len(parts["train"])
        if self.batch_size > size:
            problem = f"larger than the {size} training examples"
            raise reject("data.batch_size", self.batch_size, problem, f"1 to {size}")
        return {name: examples.subset(index) for name, index in parts.items()}

    @cached_property
    def spec(self) -> DataSpec:
        """What a model must know; the statistics come from the training examples alone."""
        x = self.splits["train"].x
        values = x.double() / 255 if self.kind == "images" else x.double()
        std, mean = torch.std_mean(values, dim=(0, 2, 3) if self.kind == "images" else 0, correction=0)
        std = torch.where(std > 0, std, 1.0)
        return DataSpec(tuple(x.shape[1:]), self.classes, self.features, tuple(mean.tolist()), tuple(std.tolist()))

    def loader(self, split: str) -> ResidentLoader:
        """Return the batches of a split on this process's device; `train` is shuffled and augmented."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for a loader"
        device = trainer.strategy.root_device
        part = self.splits[split]
        training = split == "train"
        return ResidentLoader(
            Examples(part.x.to(device), part.y.to(device)),
            self.batch_size,
            seed=self.order_seed,
            shuffle=training and not getattr(trainer, "overfit_batches", 0),
            augment=self.augment if training else None,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def train_dataloader(self) -> ResidentLoader:
        """Return the shuffled, augmented training batches."""
        return self.loader("train")

    def val_dataloader(self) -> ResidentLoader:
        """Return the validation batches, in order."""
        return self.loader("val")

    def test_dataloader(self) -> ResidentLoader:
        """Return the test batches, in order."""
        return self.loader("test")
