"""Files with the same contents are decoded once for all processes and starts."""

import errno
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tests.data.cache.image_files_to_decode import COUNT, PIXELS, SHAPE, assert_right, entries
from tests.data.cache.two_processes import KILLED, run_twice_at_once
from trainyard.data.cache import decoded_images
from trainyard.data.cache.decoded_images import decode_images
from trainyard.io.errors import ConfigError

# Decodes the files of a folder and logs their names.
CHILD = """
from trainyard.data.cache import decoded_images
read = decoded_images.read_image
def recorded(path, *rest):
    note(path.name)
    return read(path, *rest)
decoded_images.read_image = recorded
wait()
found = decoded_images.decode_images(sorted((folder / "files").iterdir()), (3, 4, 5), folder / "cache", True, 0)
print(int(found.pixels.sum()))
"""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the decoded files, in order."""
    names: list[str] = []
    read = decoded_images.read_image

    def recorded(path: Path, *rest: Any) -> np.ndarray:
        names.append(path.name)
        return read(path, *rest)

    monkeypatch.setattr(decoded_images, "read_image", recorded)
    return names


def test_a_second_start_decodes_nothing(paths: list[Path], cache: Path, reads: list[str]) -> None:
    first = decode_images(paths, SHAPE, cache, True, 0)
    assert_right(first)
    assert len(set(map(bytes, first.digests))) == COUNT
    again = decode_images(paths, SHAPE, cache, True, 0)
    assert_right(again)
    assert reads == [path.name for path in paths]
    sums_alone = decode_images(paths, SHAPE, cache, False, 0)
    assert sums_alone.pixels is None
    assert sums_alone.sums.equal(first.sums)


def test_the_cache_depends_on_content_only(paths: list[Path], cache: Path, reads: list[str], tmp_path: Path) -> None:
    decode_images(paths, SHAPE, cache, True, 0)
    os.utime(paths[0], (1, 1))
    moved = [Path(shutil.copy(path, tmp_path / path.name)) for path in paths]
    for same in (paths, moved):
        assert_right(decode_images(same, SHAPE, cache, True, 0))
    assert len(reads) == COUNT
    assert decode_images(paths, (1, 4, 5), cache, True, 0).pixels.shape == (COUNT, 1, 4, 5)
    assert len(reads) == 2 * COUNT, "other shapes have other entries"
    data = bytearray(paths[3].read_bytes())
    data[60] ^= 1
    paths[3].write_bytes(data)
    assert 3 in decode_images(paths, SHAPE, cache, True, 0).errors, (
        "a byte was changed, and the sum of its chunk no longer fits"
    )
    assert len(reads) == 3 * COUNT


def test_after_one_process_is_killed_another_decodes_all_files(paths: list[Path], cache: Path, tmp_path: Path) -> None:
    outcomes, reads = run_twice_at_once(CHILD, tmp_path, 5)  # reading the fifth file kills the process
    assert outcomes == sorted([(f"{PIXELS.sum()}\n", "", 0), KILLED])
    names = [path.name for path in paths]
    assert reads == names[:5] + names, "the other waits, then decodes all files"
    assert len(entries(cache)) == 1, "the files of the killed process are removed"
    assert_right(decode_images(paths, SHAPE, cache, True, 0))


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of files of each decoding."""
    counts: list[int] = []
    check = decoded_images.decode_files
    monkeypatch.setattr(
        decoded_images, "decode_files", lambda paths, *rest: counts.append(len(paths)) or check(paths, *rest)
    )
    return counts


def test_an_exception_removes_entry_and_lock(paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(decoded_images.np, "square", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt) as stopped:
            decode_images(paths, SHAPE, cache, True, 0)
    assert entries(cache) == []
    with FileLock(cache / ".lock", timeout=0):
        assert stopped.value is not None  # keeps alive the frames that held the lock
    assert_right(decode_images(paths, SHAPE, cache, True, 0))


@pytest.mark.parametrize("damage", ["pixels.npy", "sums.npy", "errors.json", "digests"])
def test_truncated_entries_are_recomputed(paths: list[Path], cache: Path, fills: list[int], damage: str) -> None:
    decode_images(paths, SHAPE, cache, True, 0)
    [cut] = cache.glob("*.digests.npy" if damage == "digests" else f"*/{damage}")
    for data in (cut.read_bytes()[:-1], b""):
        cut.write_bytes(data)
        assert_right(decode_images(paths, SHAPE, cache, True, 0))
    assert fills == [COUNT] * (1 if damage == "digests" else 3)


def test_an_unwritable_cache_is_not_used(paths: list[Path], fills: list[int], caplog: pytest.LogCaptureFixture) -> None:
    nowhere = paths[0] / "cache"
    for _ in range(2):
        assert_right(decode_images(paths, SHAPE, nowhere, True, 0))
    assert fills == [COUNT] * 2
    text = f"{nowhere} cannot be written (Not a directory): images are decoded at each start"
    assert caplog.record_tuples == [("trainyard.data.cache", logging.WARNING, text)] * 2


@pytest.mark.parametrize("where", [(np, "save"), (np.lib.format, "write_array_header_1_0"), (json, "dumps")])
def test_a_full_disk_is_reported(
    paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*where, full)
        with pytest.raises(ConfigError) as refused:
            decode_images(paths, SHAPE, cache, True, 0)
    assert str(refused.value).splitlines() == [
        f"data.cache={cache}: cannot be written (No space left on device)",
        "  accepted: a folder on a disk with 1 MiB free, or data.resident=false",
    ]
    assert entries(cache) == []
    assert_right(decode_images(paths, SHAPE, cache, True, 0))


def test_unreadable_files_are_zeros_with_an_error(paths: list[Path], cache: Path) -> None:
    paths[0].write_bytes(b"")
    paths[2].write_bytes(b"hello")
    paths[5].write_bytes(paths[5].read_bytes()[:-30])
    paths[7].unlink()
    found = decode_images(paths, SHAPE, cache, True, 0)
    reasons = {
        0: "empty",
        2: "not an image that Pillow can read",
        5: "image file is truncated",
        7: "No such file or directory",
    }
    assert {position: text.partition(" (")[0] for position, text in found.errors.items()} == reasons
    assert found.pixels.flatten(1).any(1).tolist() == [position not in reasons for position in range(COUNT)]
    assert found.sums[list(reasons)].count_nonzero() == 0
    Image.fromarray(PIXELS[7]).save(paths[7])
    assert list(decode_images(paths, SHAPE, cache, True, 0).errors) == [0, 2, 5], "the restored file is decoded"
