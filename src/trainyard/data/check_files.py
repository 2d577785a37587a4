"""Every image file read once: its picture, sums of its values, or what is wrong with it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from trainyard.data.draws import generator
from trainyard.data.image_files import read_image
from trainyard.data.pixel_values import Range
from trainyard.terminal.display import progress_counter

BATCH = 64  # files that a worker reads at a time
FEW = 1000  # files for which starting workers costs more than it saves

Checked = tuple[NDArray[np.uint8], NDArray[np.int64], str]


class FileCheck(Dataset[Checked]):
    """The picture, the sums of its values and of their squares a channel, and the error of each file."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, int, int], value_range: Range | None) -> None:
        self.paths = paths
        self.shape = shape
        self.value_range = value_range

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, position: int) -> Checked:
        path = self.paths[position]
        error = ""
        picture = np.zeros(self.shape, np.uint8)
        try:
            picture = read_image(path, self.shape, self.value_range)
        except OSError as failure:
            error = str(failure).removeprefix(f"{path}: ")
        values = picture.reshape(len(picture), -1).astype(np.int64)
        return picture, np.stack([values.sum(1), np.square(values).sum(1)], axis=1), error


def check_files(
    paths: Sequence[Path],
    shape: tuple[int, int, int],
    folder: Path,
    keep_pixels: bool,
    num_workers: int,
    value_range: Range | None = (),
) -> dict[int, str]:
    """Read all files; write `pixels.npy` (if they are to be kept) and `sums.npy` into a folder, and return the errors.

    A terminal shows the progress.
    """
    count = len(paths)
    sums: list[NDArray[np.int64]] = []
    errors: dict[int, str] = {}
    loader = DataLoader(
        FileCheck(paths, shape, value_range),
        batch_size=BATCH,
        num_workers=num_workers if count > FEW else 0,
        collate_fn=as_arrays,
        generator=generator(0),  # the run's own stays as it is, whether there is anything to read or not
    )
    done = 0
    file = folder / "pixels.npy" if keep_pixels else Path(os.devnull)
    with progress_counter("reading images", count, "images") as add, file.open("wb") as pixels:
        np.lib.format.write_array_header_1_0(pixels, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
        for pictures, part, failures in loader:
            pixels.write(pictures.tobytes())  # not through a map: on a full disk that would end the process
            errors |= {done + position: failure for position, failure in enumerate(failures) if failure}
            sums.append(part)
            done += len(part)
            add(len(part))
    np.save(folder / "sums.npy", np.concatenate(sums))
    return errors


def as_arrays(batch: list[Checked]) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Return pictures `[B, C, H, W]`, sums `[B, C, 2]` and errors of a batch."""
    pictures, sums, errors = zip(*batch, strict=True)
    return np.stack(pictures), np.stack(sums), errors
