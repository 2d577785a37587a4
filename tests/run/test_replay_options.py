"""Options of the Trainer and of loaders that change how batches are counted, and what cannot be replayed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset
from tests.run.plain_runs import Rows, Regressor, differences, train_plain

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory", "ignore:.*does not have many workers")


class Stream(IterableDataset):
    def __iter__(self):
        order = torch.randperm(40).tolist()
        rows = Rows()
        return iter([rows[i] for i in order])


def reloaded():
    return DataLoader(Rows(), 4, shuffle=True, generator=torch.Generator().manual_seed(7))


CASES = {
    "accumulate": dict(accumulate_grad_batches=3),
    "reload": dict(reload_dataloaders_every_n_epochs=1),
    "reload2": dict(reload_dataloaders_every_n_epochs=2, epochs=5, train=reloaded),
    "val03": dict(val_check_interval=0.3),
    "limit": dict(limit_train_batches=6),
    "maxsteps": dict(max_steps=25, epochs=-1),
    "persistent": dict(
        train=lambda: DataLoader(
            Rows(noise=0),
            4,
            shuffle=True,
            num_workers=2,
            persistent_workers=True,
            generator=torch.Generator().manual_seed(3),
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_options(tmp_path, case):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole, **CASES[case])
    for stop in (("train", 0, 2), ("val", 1, 1), ("train", 2, 4), None):
        train_plain(parts, stop=stop, **CASES[case])
    assert differences(whole, parts) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_stream(tmp_path, workers):
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def loader():
        return DataLoader(Stream(), 4, num_workers=workers)

    train_plain(whole, train=loader)
    for stop in (("train", 0, 2), ("val", 0, 1), ("train", 1, 4), ("train", 2, 4), ("error", 2, 0), None):
        t = train_plain(parts, stop=stop, train=loader)
    assert differences(whole, parts) == []


def test_epoch_end(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_plain(whole)
    for stop in (("error", 1, 0), ("error", 2, 0), None):
        train_plain(parts, stop=stop)
    assert differences(whole, parts) == []


def test_epoch_end_gen(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def loader():
        return DataLoader(Rows(), 4, shuffle=True, num_workers=2, generator=torch.Generator().manual_seed(7))

    train_plain(whole, train=loader)
    for stop in (("error", 1, 0), ("error", 2, 0), None):
        train_plain(parts, stop=stop, train=loader)
    assert differences(whole, parts) == []
