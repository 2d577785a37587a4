"""Images in batches, decoded by a few threads just before they are needed."""

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainyard.data.images.image_files import read_image, suppress_warnings
from trainyard.data.images.pixel_values import ValueRange
from trainyard.predict.predictor import InputBatch

THREADS = min(4, max(2, os.cpu_count() or 1))
AHEAD = 2  # batches that are decoded or waited for while the model predicts one

Decoded = NDArray[np.uint8] | str  # or why there is none


def image_batches(
    names: Sequence[str], shape: tuple[int, int, int], batch_size: int, value_range: ValueRange | None = ()
) -> Generator[InputBatch, None, None]:
    """Yield the pictures of files as training reads them, uint8 `[B, C, H, W]`.

    Args:
        names: of the files.
        shape: `(C, H, W)`.
        batch_size: files in a batch; no more than `AHEAD` batches are in memory beside the one that was yielded.
        value_range: see `read_image`.
    """
    groups = (names[start : start + batch_size] for start in range(0, len(names), batch_size))
    pool = ThreadPoolExecutor(THREADS)

    def begun(group: Sequence[str]) -> tuple[Sequence[str], list[Future[Decoded]]]:
        return group, [pool.submit(decoded, name, shape, value_range) for name in group]

    # Each thread saves and restores the process's filters of warnings, in any order; so all of them are as here.
    with suppress_warnings():
        try:
            waiting = deque(map(begun, islice(groups, AHEAD)))
            while waiting:
                group, pictures = waiting.popleft()
                batch = joined(group, [picture.result() for picture in pictures], shape)
                del pictures
                waiting.extend(map(begun, islice(groups, 1)))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def decoded(name: str, shape: tuple[int, int, int], value_range: ValueRange | None) -> Decoded:
    """Return the picture of a file, or why it cannot be read."""
    try:
        return read_image(Path(name), shape, value_range)
    except OSError as error:
        return str(error).removeprefix(f"{Path(name)}: ")


def joined(names: Sequence[str], pictures: Sequence[Decoded], shape: tuple[int, int, int]) -> InputBatch:
    """Return a batch of those that could be read."""
    errors = {position: picture for position, picture in enumerate(pictures) if isinstance(picture, str)}
    readable = [picture for picture in pictures if not isinstance(picture, str)]
    x = torch.from_numpy(np.stack(readable)) if readable else torch.empty((0, *shape), dtype=torch.uint8)
    return InputBatch(names, x, errors)
