"""Images come in batches, as they are read, a few ahead; one that cannot be read keeps its place."""

import os
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.images.image_writers import save_png_header
from trainyard.data.images.image_files import read_image
from trainyard.inference import prediction_batches as module
from trainyard.inference.prediction_batches import THREADS, image_batches

SHAPE = (3, 6, 8)


def save(folder: Path, count: int) -> list[str]:
    draws = np.random.default_rng(0)
    names = [str(folder / f"{number}.png") for number in range(count)]
    for name in names:
        Image.fromarray(draws.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(name)
    return names


@pytest.mark.parametrize("size", [1, 4, 10, 99])
def test_each_picture_once_and_in_order(tmp_path: Path, size: int) -> None:
    names = save(tmp_path, 10)
    batches = list(image_batches(names, SHAPE, size))
    assert [name for batch in batches for name in batch.names] == names
    assert {len(batch.names) for batch in batches[:-1]} <= {size}
    expected = np.stack([read_image(Path(name), SHAPE) for name in names])
    assert np.concatenate([batch.x.numpy() for batch in batches]).tolist() == expected.tolist()
    assert not any(batch.errors for batch in batches)


def test_those_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    names = save(tmp_path, 4)
    Path(names[0]).write_bytes(b"")
    Path(names[2]).unlink()
    os.mkfifo(names[2])
    bomb = str(save_png_header(tmp_path / "bomb.png", 50_000, 50_000))
    batches = list(image_batches([*names, bomb], SHAPE, 4))
    assert batches[0].errors == {0: "empty", 2: "not a regular file"}
    assert len(batches[0].x) == 2
    assert batches[1].errors == {0: "2,500,000,000 pixels, more than the limit of 89,478,485"}
    assert batches[1].x.shape == (0, *SHAPE)


def test_one_batch_is_read_at_a_time_by_a_few_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = save(tmp_path, 60)
    read: list[str] = []
    threads: set[str] = set()

    def spied(path: Path, *rest: Any) -> np.ndarray:
        read.append(path.name)
        threads.add(threading.current_thread().name)
        return read_image(path, *rest)

    monkeypatch.setattr(module, "read_image", spied)
    batches = image_batches(names, SHAPE, 5)
    for number in range(1, 4):
        next(batches)
        assert len(read) == number * 5
    batches.close()
    assert 2 <= THREADS <= 4
    assert len(threads) <= THREADS


def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path) -> None:
    names = save(tmp_path, 200)
    before = list(warnings.filters)
    for _ in image_batches(names, SHAPE, 50):
        pass
    assert warnings.filters == before
    stopped = image_batches(names, SHAPE, 50)
    next(stopped)
    stopped.close()
    assert warnings.filters == before
