"""The DataModule that all sources share: splits, spec, and loaders."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor

from trainyard.data.augment import Augmentation
from trainyard.data.balance import class_weights_of, example_weights
from trainyard.data.loader import Batch, Loader
from trainyard.data.mapped_rows import MappedRows
from trainyard.data.order import BatchOrder
from trainyard.data.residence import Residence
from trainyard.data.spec import Column, DataSpec, Examples
from trainyard.data.splits import SplitPlan
from trainyard.data.statistics import statistics
from trainyard.errors import reject

EVALUATED_AT_ONCE = 4  # training batches: without gradients, what a network computes takes less memory
EVALUATED_PIXELS = 2**21  # of more than a training batch; they take 0.3 GB in model=cnn, 1.3 GB in model=resnet


class DataModule(L.LightningDataModule, ABC):
    """Splits the examples of a source, stratified, and serves them in batches on the training device.

    A source is a subclass with `kind`, `classes` and `read()`.

    Args:
        batch_size: training examples in a batch of each device; `None` for `default_batch_size`, or for all training
            examples where there are fewer.
        default_batch_size: used where `batch_size` is `None`.
        val_fraction, test_fraction: shares of the examples that choose the best epoch and that are looked at once, at
            the end, where the source sets none apart.
        train_fraction: share of the training examples that is trained on; a smaller one is part of a larger one.
        folds, fold: with `fold` 0 to `folds - 1`, that fold of train and validation together is validated on, instead
            of `val_fraction`; `None` for no folds.
        class_weights: of the training loss: `none`, `balanced` (each class counts the same) or a number a class.
        sampler: `shuffle`, each example once an epoch, or `balanced`, drawn so that each class is as frequent.
        resident: `True` keeps the examples on the training device, `False` reads each batch by `num_workers` processes
            (`None`: one a core), `auto` keeps what takes at most `resident_limit` GiB.
        seed: of the split; apart from the run's, so that runs with other seeds share their test examples.
        augment: random changes of the training images, `None` for none.
        order_seed: of the order of the training examples and the draws of `augment`; the run's seed.

    Raises:
        ConfigError: fractions, a fold, weights or a batch that the examples do not allow.
    """

    kind: ClassVar[str]
    classes: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    value_range: tuple[float, ...] | None = ()  # of image files, see `DataSpec`
    known: DataSpec | None = None  # what a trained model knows; then `read` gives examples as it has learned them

    def __init__(
        self,
        batch_size: int | None = None,
        default_batch_size: int = 64,
        val_fraction: float = 0.15,
        test_fraction: float = 0.15,
        train_fraction: float = 1.0,
        folds: int = 5,
        fold: int | None = None,
        class_weights: str | Sequence[float] = "none",
        sampler: str = "shuffle",
        resident: str | bool = "auto",
        resident_limit: float = 4.0,
        num_workers: int | None = None,
        seed: int = 0,
        augment: Augmentation | None = None,
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size or default_batch_size
        self.fixed_batch_size = batch_size is not None
        self.plan = SplitPlan(val_fraction, test_fraction, train_fraction, folds, fold, seed)
        self.class_weights = class_weights
        self.sampler = sampler
        self.residence = Residence(resident, resident_limit, num_workers)
        self.augment = augment
        self.order_seed = order_seed
        self.before: dict[str, Examples] = {}  # other inputs were served
        self.report: dict[str, Any] = {}  # what a source counts of its data, for the run's result

    @abstractmethod
    def read(self) -> Mapping[str, Examples]:
        """Return the examples of the source: `train`, and `val` and `test` where it sets them apart itself."""

    @cached_property
    def splits(self) -> dict[str, Examples]:
        """The examples of `train`, `val` and `test`, read and split at the first look."""
        parts = self.plan.divide(self.read())
        self.fit_batch_size(len(parts["train"]))
        return self.prepare(parts)

    def fit_batch_size(self, examples: int) -> None:
        """Reduce the default batch size to the number of training examples.

        Raises:
            ConfigError: a batch size that was given is larger.
        """
        if self.fixed_batch_size and self.batch_size > examples:
            problem = f"larger than all {examples} training examples"
            raise reject("data.batch_size", self.batch_size, problem, f"1 to {examples}, or null")
        if self.batch_size > examples > 0:
            self.batch_size = self.report["batch_size"] = examples

    def prepare(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Return the parts as they are served, now that it is known which examples are for training."""
        return parts

    @cached_property
    def spec(self) -> DataSpec:
        """What a model must know; the statistics come from the training examples alone."""
        train = self.splits["train"]
        mean, std = statistics(train, self.columns)
        weights = class_weights_of(self.class_weights, train.y, len(self.classes))
        of_values = tuple(mean.tolist()), tuple(std.tolist())
        value_range = self.value_range if self.kind == "images" else None
        return DataSpec(train.shape, self.classes, self.columns, *of_values, weights, value_range)

    def serve(self, inputs: Mapping[str, Tensor | MappedRows]) -> None:
        """Give each split other inputs of the same examples, such as features; the spec stays that of the data."""
        assert self.spec, "it is made from the examples themselves"
        self.before = {"val": self.splits["val"]}
        self.splits = {name: replace(part, x=inputs[name]) for name, part in self.splits.items()}

    def raw(self, split: str) -> Examples:
        """Return the examples of a split as they were before `serve`; of validation alone, the others are not kept."""
        return self.before.get(split) or self.splits[split]

    def loader(self, split: str, alone: bool = False) -> Loader:
        """Return the batches of a split on this process's device; `train` is shuffled and augmented.

        Args:
            split: `train`, `val` or `test`.
            alone: whether this process takes all examples, not its share of them.
        """
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for a loader"
        augment = partial(self.augment, classes=len(self.classes)) if split == "train" and self.augment else None
        order = self.order(split, alone)
        return self.residence.loader(self.splits[split], order, trainer.strategy.root_device, augment)

    def order(self, split: str, alone: bool = False) -> BatchOrder:
        """Return which examples make up each batch of a split; arguments as in `loader`."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for a loader"
        part, training = self.splits[split], split == "train"
        model = getattr(trainer, "lightning_module", None)
        seen = getattr(model, "input_size", part.shape) if len(part.shape) == 3 else part.shape
        return BatchOrder(
            len(part),
            self.batch_size if training else self.evaluation_batch(seen),
            seed=self.order_seed,
            shuffle=training and not getattr(trainer, "overfit_batches", 0),
            weights=example_weights(part.y) if training and self.sampler == "balanced" else None,
            rank=0 if alone else trainer.global_rank,
            world_size=1 if alone else trainer.world_size,
        )

    def evaluation_batch(self, shape: Sequence[int]) -> int:
        """Return how many examples are evaluated at once: a few training batches, or one of large images.

        Args:
            shape: of an example as the network sees it, `(F,)` or `(C, H, W)`.
        """
        most = self.batch_size * EVALUATED_AT_ONCE
        return max(self.batch_size, min(most, EVALUATED_PIXELS // math.prod(shape[1:])))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch: it is on the device."""
        return batch

    def train_dataloader(self) -> Loader:
        """Return the shuffled, augmented training batches."""
        return self.loader("train")

    def val_dataloader(self) -> Loader:
        """Return the validation batches, in order."""
        return self.loader("val")

    def test_dataloader(self) -> Loader:
        """Return the test batches, in order."""
        return self.loader("test")
