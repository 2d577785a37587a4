"""Files are decoded once for all processes and starts, as long as their contents are the same."""

import os
import shutil
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

import numpy as np
import pytest
from PIL import Image

from trainyard.data import check_files
from trainyard.data.decoded import Decoded, decode

COUNT = 12
SHAPE = (3, 4, 5)
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 4, 5, 3), dtype=np.uint8)
# Says that it is ready, waits for a word, decodes the files of a folder and notes each that it reads.
CHILD = """
import os, sys, time
from pathlib import Path
from trainyard.data import check_files, decoded
folder, die_at = Path(sys.argv[1]), int(sys.argv[2])
read = check_files.read_image
def noted(path, shape):
    with open(folder / "read.log", "a") as log: print(path.name, file=log)
    if len((folder / "read.log").read_text().split()) == die_at: os._exit(9)
    time.sleep(0.01)
    return read(path, shape)
check_files.read_image = noted
Path(folder / f"ready{os.getpid()}").touch()
while not (folder / "go").exists(): time.sleep(0.001)
found = decoded.decode(sorted((folder / "files").iterdir()), (3, 4, 5), folder / "cache", True, 0)
print(int(found.pixels.sum()))
"""


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "files").mkdir()
    found = [tmp_path / "files" / f"{number:02d}.png" for number in range(COUNT)]
    for path, pixels in zip(found, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    return found


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, one for each time."""
    names: list[str] = []
    read = check_files.read_image

    def noted(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
        names.append(path.name)
        return read(path, shape)

    monkeypatch.setattr(check_files, "read_image", noted)
    return names


def assert_right(found: Decoded) -> None:
    assert found.pixels is not None
    assert found.pixels.tolist() == PIXELS.transpose(0, 3, 1, 2).tolist()
    values = PIXELS.astype(np.int64)
    assert found.sums.tolist() == np.stack([values.sum((1, 2)), (values**2).sum((1, 2))], axis=-1).tolist()
    assert found.errors == {}


def entries(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if path.is_dir()]


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


def start(folder: Path, die_at: int = 0) -> "Popen[str]":
    return Popen([sys.executable, "-c", CHILD, str(folder), str(die_at)], stdout=PIPE, stderr=PIPE, text=True)


@pytest.mark.parametrize("die_at", [0, 5])
def test_of_two_that_start_together_one_decodes(paths: list[Path], cache: Path, tmp_path: Path, die_at: int) -> None:
    children = [start(tmp_path, die_at) for _ in range(2)]  # the fifth file that is read ends whoever reads it
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    outcomes = [(*child.communicate(timeout=60), child.returncode) for child in children]
    whole, killed = (f"{PIXELS.sum()}\n", "", 0), ("", "", 9)
    assert sorted(outcomes) == sorted([whole, killed if die_at else whole])
    names = [path.name for path in paths]
    assert (tmp_path / "read.log").read_text().split() == names[:die_at] + names, "the other waits, then goes on"
    assert len(entries(cache)) == 1, "what the killed one had written is cleared away"
    assert_right(decode(paths, SHAPE, cache, True, 0))
