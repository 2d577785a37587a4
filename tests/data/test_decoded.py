"""Files are decoded once for all processes and starts, as long as their contents are the same."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.image_files_to_decode import COUNT, PIXELS, SHAPE, assert_right, entries
from tests.data.together import KILLED, together
from trainyard.data import check_files
from trainyard.data.decoded import decode

# Decodes the files of a folder and notes each that it reads.
CHILD = """
from trainyard.data import check_files, decoded
read = check_files.read_image
def noted(path, *rest):
    note(path.name)
    return read(path, *rest)
check_files.read_image = noted
wait()
found = decoded.decode(sorted((folder / "files").iterdir()), (3, 4, 5), folder / "cache", True, 0)
print(int(found.pixels.sum()))
"""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, one for each time."""
    names: list[str] = []
    read = check_files.read_image

    def noted(path: Path, *rest: Any) -> np.ndarray:
        names.append(path.name)
        return read(path, *rest)

    monkeypatch.setattr(check_files, "read_image", noted)
    return names


def test_a_second_start_decodes_nothing(paths: list[Path], cache: Path, reads: list[str]) -> None:
    first = decode(paths, SHAPE, cache, True, 0)
    assert_right(first)
    assert len(set(map(bytes, first.digests))) == COUNT
    again = decode(paths, SHAPE, cache, True, 0)
    assert_right(again)
    assert reads == [path.name for path in paths]
    sums_alone = decode(paths, SHAPE, cache, False, 0)
    assert sums_alone.pixels is None
    assert sums_alone.sums.equal(first.sums)


def test_only_the_content_decides(paths: list[Path], cache: Path, reads: list[str], tmp_path: Path) -> None:
    decode(paths, SHAPE, cache, True, 0)
    os.utime(paths[0], (1, 1))
    moved = [Path(shutil.copy(path, tmp_path / path.name)) for path in paths]
    for same in (paths, moved):
        assert_right(decode(same, SHAPE, cache, True, 0))
    assert len(reads) == COUNT
    assert decode(paths, (1, 4, 5), cache, True, 0).pixels.shape == (COUNT, 1, 4, 5)
    assert len(reads) == 2 * COUNT, "other shapes are kept apart"
    data = bytearray(paths[3].read_bytes())
    data[60] ^= 1
    paths[3].write_bytes(data)
    assert 3 in decode(paths, SHAPE, cache, True, 0).errors, (
        "a byte was changed, and the sum of its chunk no longer fits"
    )
    assert len(reads) == 3 * COUNT


@pytest.mark.parametrize("die_at", [0, 5])
def test_of_two_that_start_together_one_decodes(paths: list[Path], cache: Path, tmp_path: Path, die_at: int) -> None:
    outcomes, reads = together(CHILD, tmp_path, die_at)  # the fifth file that is read kills whoever reads it
    whole = (f"{PIXELS.sum()}\n", "", 0)
    assert outcomes == sorted([whole, KILLED if die_at else whole])
    names = [path.name for path in paths]
    assert reads == names[:die_at] + names, "the other waits, then goes on"
    assert len(entries(cache)) == 1, "what the killed one had written is cleared away"
    assert_right(decode(paths, SHAPE, cache, True, 0))
