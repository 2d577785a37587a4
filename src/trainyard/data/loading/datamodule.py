"""The DataModule base class: splits, specification and loaders."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import lightning as L
from torch import Tensor

from trainyard.data.augment import Augmentation
from trainyard.data.loading.forward_cost import most_examples
from trainyard.data.loading.loader import DevicePlacement, Loader, ResumableBatchSampler, StreamingLoader
from trainyard.data.loading.spec import Column, DataSpec, Examples, MappedRows
from trainyard.data.loading.splits import SplitPlan, check_splits_not_empty
from trainyard.data.loading.statistics import fingerprint, mean_and_std
from trainyard.data.loading.target import Classes, Target
from trainyard.data.loading.target_statistics import (
    check_target,
    fit_target,
    missing_target_warnings,
    sampling_weights,
    simplest_baseline,
    summarize_target,
)
from trainyard.io.errors import config_error

EVALUATION_BATCHES = 4  # training batches evaluated at once, if they fit: without gradients, they take less memory


class DataModule(L.LightningDataModule, ABC):
    """Splits the examples of a source, stratified by target, and loads batches to the training device.

    Subclasses define `kind`, `read()`, and `classes` or, for numbers and labels, `target`.

    Args:
        batch_size: training examples per batch and device; `None` for `default_batch_size`, or all training examples if
            there are fewer.
        default_batch_size: used if `batch_size` is `None`.
        val_fraction, test_fraction: shares of the examples for validation and test, unless the source has these splits.
        train_fraction: share of the training examples that is used; a smaller share is a subset of a larger one.
        folds, fold: with `fold` 0 to `folds - 1`, validate on that fold of train and validation together.
        class_weights: of the training loss: `none`, `balanced` (each class has equal weight) or a number per class.
        sampler: `shuffle`, or `balanced` to draw each class or label equally often.
        resident: `True` stores the examples on the training device, `False` reads each batch in `num_workers` processes
            (`None`: one per core), `auto` stores them if they take at most `resident_limit` GiB.
        seed: of the split; separate from the run's, so that runs with different seeds share their test examples.
        augment: random changes of the training images.
        order_seed: of the order of the training examples and of `augment`; the run's seed.

    Raises:
        ConfigError: fractions, a fold, weights or a batch size that do not fit the examples.
    """

    kind: ClassVar[str]
    downloads: ClassVar[bool] = False  # whether missing files are downloaded to `root`
    classes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    value_range: tuple[float, ...] = ()  # of image files, see `DataSpec`
    model_spec: DataSpec | None = None  # of a trained model; if set, `read` prepares the examples for it

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
        self.batch_size_given = batch_size is not None
        self.split_plan = SplitPlan(val_fraction, test_fraction, train_fraction, folds, fold, seed)
        self.class_weights = class_weights
        self.sampler = sampler
        self.placement = DevicePlacement(resident, resident_limit, num_workers)
        self.augment = augment
        self.order_seed = order_seed
        self.given_target: Target | None = None
        self.original_splits: dict[str, Examples] = {}  # before `replace_inputs`
        self.loaders: list[Loader] = []  # of the current stage
        self.report: dict[str, Any] = {}  # facts about the data for the run's result

    @property
    def target(self) -> Target:
        """What is to be predicted, known after `read`; without statistics of the training examples, see `spec`."""
        return self.given_target or Classes(self.classes)

    @target.setter
    def target(self, target: Target) -> None:
        self.given_target, self.classes = target, target.names if isinstance(target, Classes) else ()

    @abstractmethod
    def read(self) -> Mapping[str, Examples]:
        """Return the examples of the source: `train`, and `val` and `test` if it has such splits."""

    @cached_property
    def splits(self) -> dict[str, Examples]:
        """The examples of `train`, `val` and `test`; read at the first access."""
        parts = self.split_plan.divide(self.read())
        count = len(parts["train"])
        if self.batch_size > count and self.batch_size_given:
            problem = f"larger than all {count} training examples"
            raise config_error("data.batch_size", self.batch_size, problem, f"1 to {count}, or null")
        if self.batch_size > count > 0:
            self.batch_size = self.report["batch_size"] = count
        return self.preprocess(parts)

    def preprocess(self, parts: dict[str, Examples]) -> dict[str, Examples]:
        """Return the splits after processing that depends on the training examples."""
        return parts

    @cached_property
    def spec(self) -> DataSpec:
        """The specification for models, with statistics of the training examples only."""
        train = self.splits["train"]
        mean, std = mean_and_std(train, self.columns)
        moments = tuple(mean.tolist()), tuple(std.tolist())
        target = fit_target(self.target, train.y, self.class_weights)
        return DataSpec(train.shape, target, self.columns, *moments, self.value_range)

    def check(self) -> None:
        """Raise a ConfigError if a split is empty, or if the target cannot be learned as the config says."""
        check_splits_not_empty(self.splits)
        check_target(self.splits["train"].y, self.target, self.sampler)

    def warnings(self) -> list[str]:
        """Return a warning for each split that lacks classes or labels of the training examples."""
        return missing_target_warnings(self.splits, self.target)

    def summary(self) -> str:
        """Return the sizes of the splits, the shape of the inputs, and what is to be predicted."""
        sizes = " / ".join(str(len(part)) for part in self.splits.values())
        shape = "x".join(map(str, self.spec.input_shape))
        return f"{sizes} for train / val / test; {shape}, {summarize_target(self.target)}"

    def facts(self) -> dict[str, Any]:
        """Return what is reported about the data, and its fingerprint."""
        self.report.setdefault("fingerprint", fingerprint(self))
        return self.report

    def baseline(self) -> dict[str, Any]:
        """Return the scores of the simplest prediction, such as the most frequent class."""
        return simplest_baseline(self.splits, self.target)

    def batch_counts(self, trainer: L.Trainer) -> dict[str, int]:
        """Return the number of batches of each split for each process of a Trainer."""
        self.trainer = trainer
        return {split: len(self.batch_sampler(split)) for split in ("train", "val", "test")}

    def fingerprint_inputs(self, part: Examples) -> Tensor:
        """Return the values that represent the inputs of a split in the data's fingerprint, `[N, ...]`."""
        assert isinstance(part.x, Tensor)
        return part.x

    def replace_inputs(self, inputs: Mapping[str, Tensor | MappedRows]) -> None:
        """Replace the inputs of each split, for example by features; `spec` still describes the data."""
        assert self.spec, "it is computed from the original examples"
        self.original_splits = {"val": self.splits["val"]}
        self.splits = {name: replace(part, x=inputs[name]) for name, part in self.splits.items()}

    def original(self, split: str) -> Examples:
        """Return the examples of a split before `replace_inputs`, of which only `val` is stored."""
        return self.original_splits.get(split) or self.splits[split]

    def loader(self, split: str, all_ranks: bool = False) -> Loader:
        """Return the loader of a split, for this process's share or all examples; `train` is shuffled and augmented."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer first"
        augment = partial(self.augment, classes=len(self.classes)) if split == "train" and self.augment else None
        sampler = self.batch_sampler(split, all_ranks)
        loader = self.placement.loader(self.splits[split], sampler, trainer.strategy.root_device, augment)
        self.loaders.append(loader)
        return loader

    def batch_sampler(self, split: str, all_ranks: bool = False) -> ResumableBatchSampler:
        """Return the sampler of a split, see `loader`."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer first"
        part, training = self.splits[split], split == "train"
        model = getattr(trainer, "lightning_module", None)
        return ResumableBatchSampler(
            len(part),
            self.batch_size if training else self.evaluation_batch_size(model, part.shape),
            seed=self.order_seed,
            shuffle=training and not getattr(trainer, "overfit_batches", 0),
            weights=sampling_weights(part.y, self.target) if training and self.sampler == "balanced" else None,
            rank=0 if all_ranks else trainer.global_rank,
            world_size=1 if all_ranks else trainer.world_size,
        )

    def evaluation_batch_size(self, model: L.LightningModule | None, shape: Sequence[int]) -> int:
        """Return the number of examples of a shape `(F,)` or `(C, H, W)` that a model evaluates at once."""
        return min(self.batch_size * EVALUATION_BATCHES, most_examples(model, shape))

    def teardown(self, stage: str) -> None:
        """End the worker processes of a stage."""
        for loader in self.loaders:
            if isinstance(loader, StreamingLoader):
                loader.close()
        self.loaders.clear()

    def train_dataloader(self) -> Loader:
        """Return the shuffled, augmented training batches."""
        return self.loader("train")

    def val_dataloader(self) -> Loader:
        """Return the validation batches."""
        return self.loader("val")

    def test_dataloader(self) -> Loader:
        """Return the test batches."""
        return self.loader("test")
