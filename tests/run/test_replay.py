"""A run with ordinary DataLoaders that was stopped at any step resumes and ends bitwise like one without a stop."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Sampler, WeightedRandomSampler

from tests.run.plain_runs import EXPECTED_WARNINGS, Regressor, Rows, compare, load, train_plain
from trainyard.callbacks.random_state import get_generator_state, set_generator_state
from trainyard.run.replay import ReplayableLoader, obstacle_to_resume

pytestmark = pytest.mark.filterwarnings(*EXPECTED_WARNINGS)

INSIDE = [("train", 0, 3), ("train", 1, 1), ("train", 1, 7), ("val", 1, 1)]
EPOCH_END = [("start", 1, 0), ("start", 2, 0)]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


class NumpyOrder(Sampler[int]):
    """Draws the order of 40 examples from a generator of NumPy of its own."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return 40

    def __iter__(self) -> Iterator[int]:
        return iter(self.generator.permutation(40).tolist())


def rows(size: int = 40, noise: float = 0.1, **options: Any) -> DataLoader[Any]:
    return DataLoader(Rows(size, noise), 4, **({} if "sampler" in options else {"shuffle": True}), **options)


LOADERS: dict[str, Callable[[], Any]] = {
    "shuffled": rows,
    "workers": lambda: rows(num_workers=2),
    "generator": lambda: rows(generator=generator()),
    "workers with generator": lambda: rows(num_workers=2, generator=generator()),
    "persistent workers": lambda: rows(num_workers=2, persistent_workers=True, noise=0),
    "weighted": lambda: rows(sampler=WeightedRandomSampler(torch.arange(40.0), 40)),
    "replacement": lambda: rows(sampler=RandomSampler(Rows(), True, 40, generator())),
    "generator of NumPy": lambda: rows(sampler=NumpyOrder()),
    "batch sampler": lambda: DataLoader(
        Rows(), batch_sampler=BatchSampler(RandomSampler(Rows(), generator=generator()), 4, drop_last=True)
    ),
    "dict": lambda: {"a": rows(), "b": rows(12)},
    "max size": lambda: CombinedLoader({"a": rows(), "b": rows(12)}, "max_size"),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "accumulation": {"accumulate_grad_batches": 3},
    "several validations": {"val_check_interval": 0.3},
    "limited": {"limit_train_batches": 6},
    "steps": {"max_steps": 25, "max_epochs": -1},
    "new loaders": {"reload_dataloaders_every_n_epochs": 1, "train": LOADERS["generator"]},
    "new loaders every second epoch": {
        "reload_dataloaders_every_n_epochs": 2,
        "train": LOADERS["generator"],
        "max_epochs": 5,
    },
}


@pytest.mark.parametrize("kind", LOADERS)
def test_stopped_inside_an_epoch(tmp_path: Path, kind: str) -> None:
    compare(tmp_path, INSIDE, train=LOADERS[kind])


@pytest.mark.parametrize("kind", ["shuffled", "workers with generator", "generator of NumPy", "persistent workers"])
def test_stopped_between_epochs(tmp_path: Path, kind: str) -> None:
    compare(tmp_path, EPOCH_END, train=LOADERS[kind])


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_of_the_trainer(tmp_path: Path, kind: str) -> None:
    compare(tmp_path, [("train", 0, 2), ("val", 1, 1), ("train", 2, 4)], **OPTIONS[kind])


@pytest.mark.filterwarnings("ignore:Your `val_dataloader`.s sampler has shuffling enabled")
def test_validation_that_draws_random_numbers(tmp_path: Path) -> None:
    """A shuffled loader draws a seed when it is iterated; in the repeated validation it draws the same."""
    compare(tmp_path, [("val", 0, 0), ("val", 1, 2)], val=lambda: rows(12))


class Noise:
    """A transform that draws from a generator of its own."""

    def __init__(self) -> None:
        self.generator = np.random.RandomState(3)

    def __call__(self, row: Tensor) -> Tensor:
        return row + float(self.generator.normal())


def bound_noise() -> dict[str, list[Callable[[Tensor], Tensor]]]:
    """Return transforms of one data set for training and validation, which share a generator and own others."""
    shared, generators = Noise(), [random.Random(1), np.random.default_rng(2)]
    draw = partial(lambda row, scale: row + scale * generators[0].gauss(0, 1), scale=0.1)
    return {"train": [shared, draw], "val": [shared.__call__, lambda row: row + generators[1].normal()]}


class TransformedRows(Rows):
    """Rows with random transforms that belong to the process or to the data set."""

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__(noise=0)
        self.transforms = transforms

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row = super().__getitem__(index)
        for transform in self.transforms:
            row["x"] = transform(row["x"])
        return row


class NoisyRegressor(Regressor):
    """Adds noise from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = Noise()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step({**batch, "x": self.noise(batch["x"])}, batch_idx)


@pytest.mark.parametrize(("workers", "interval"), [(0, 1), (2, 1), (0, 2)])
def test_generators_of_transforms_and_of_the_model(tmp_path: Path, workers: int, interval: int) -> None:
    """They advance in both loaders; with workers, each epoch starts from the state in this process.

    The loaders of the validation may be requested after the first epoch.
    """
    current: dict[str, Any] = {}

    def model() -> L.LightningModule:
        current.update(bound_noise())  # new ones for each run
        return NoisyRegressor()

    def loader(name: str) -> DataLoader[Any]:
        context = "fork" if workers else None  # lambdas cannot be sent
        return DataLoader(TransformedRows(current[name]), 4, num_workers=workers, multiprocessing_context=context)

    arguments = {"model": model, "train": lambda: loader("train"), "val": lambda: loader("val")}
    stops = [*INSIDE, *EPOCH_END[1:], ("train", 2, 1), ("train", 2, 5)]
    compare(tmp_path, stops, **arguments, max_epochs=4, check_val_every_n_epoch=interval)


class Stream(IterableDataset[Any]):
    """The rows in random order, without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter([Rows()[index] for index in torch.randperm(40).tolist()])


@pytest.mark.parametrize("workers", [0, 2])
def test_iterable_data_resumes_from_the_end_of_the_epoch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    caplog.set_level(logging.INFO, logger="trainyard")
    stops = [("train", 0, 2), ("val", 0, 1), ("train", 1, 4), ("start", 2, 0), ("train", 2, 4)]
    compare(tmp_path, stops, train=lambda: DataLoader(Stream(), 4, num_workers=workers))
    why = "because Stream is an iterable data set, and its DataLoader has no `state_dict`"
    text = caplog.text
    assert text.count(f"resuming: from the end of the last epoch, {why}") == 1 + len(stops) + 1
    assert [text.count(f"not saved: epoch {epoch}, {why}") for epoch in (1, 2, 3)] == [1, 1, 1]


def test_iterable_data_is_saved_at_the_end_of_epochs_only(tmp_path: Path) -> None:
    train_plain(tmp_path, train=lambda: DataLoader(Stream(), 4), stop=("train", 1, 6), val_check_interval=4)
    assert load(tmp_path)["global_step"] == 10


@pytest.mark.filterwarnings("ignore:.set_vital. is deprecated")  # torchdata 0.11 with torch 2.13
@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_loader_with_a_state_of_its_own(tmp_path: Path, workers: int, own_generator: bool) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    def loader() -> Any:
        own = generator() if own_generator else None
        return StatefulDataLoader(Rows(noise=0), 4, shuffle=True, num_workers=workers, generator=own)

    compare(tmp_path, [*INSIDE, ("start", 2, 0)], train=loader)


def test_attributes_are_those_of_the_loader() -> None:
    loader = rows()
    replayable = ReplayableLoader(loader, torch.device("cpu"))
    replayable.worker_init_fn = print
    assert loader.worker_init_fn is print
    assert replayable.batch_size == 4
    assert len(replayable) == 10
    with pytest.raises(AttributeError, match="has no attribute 'unknown'"):
        _ = replayable.unknown


def test_nothing_is_drawn_before_the_first_batch() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    batches = iter(ReplayableLoader(rows(), torch.device("cpu")))
    assert torch.equal(torch.get_rng_state(), before)
    next(batches)
    assert not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("loader", "processes", "reason"),
    [
        (rows(), 1, None),
        (ReplayableLoader(rows(), torch.device("cpu")), 2, None),
        (rows(), 2, "2 processes train, and the DataLoader has no `state_dict`"),
        ([1, 2], 1, "the training loader list has no `state_dict`"),
        (
            DataLoader(Stream()),
            1,
            "Stream is an iterable data set, and its DataLoader has no `state_dict`",
        ),
    ],
    ids=["map-style", "with a state", "two processes", "list", "iterable"],
)
def test_reasons_why_a_run_cannot_resume_inside_an_epoch(loader: Any, processes: int, reason: str | None) -> None:
    assert obstacle_to_resume(loader, processes) == reason


@pytest.mark.parametrize(
    ("create", "draw"),
    [
        (generator, lambda own: torch.rand(1, generator=own).item()),
        (lambda: np.random.default_rng(3), lambda own: own.random()),
        (lambda: np.random.Generator(np.random.MT19937(3)), lambda own: own.random()),
        (lambda: np.random.RandomState(3), lambda own: own.normal()),
        (lambda: random.Random(3), lambda own: own.random()),
    ],
)
def test_state_of_a_generator(create: Callable[[], Any], draw: Callable[[Any], float], tmp_path: Path) -> None:
    first, second = create(), create()
    draw(first)
    torch.save(get_generator_state(first), tmp_path / "state.pt")
    set_generator_state(second, torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw(first) == draw(second)
