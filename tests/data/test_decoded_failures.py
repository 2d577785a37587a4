"""Whatever goes wrong while files are decoded, the next start is right."""

import errno
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tests.data.image_files_to_decode import COUNT, PIXELS, SHAPE, assert_right, entries
from trainyard.data import check_files, decoded
from trainyard.data.decoded import decode
from trainyard.errors import ConfigError


@pytest.fixture
def fills(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files were read, one number for each time."""
    counts: list[int] = []
    check = decoded.check_files
    monkeypatch.setattr(decoded, "check_files", lambda paths, *rest: counts.append(len(paths)) or check(paths, *rest))
    return counts


def test_an_exception_half_way_leaves_no_entry_and_no_lock(
    paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(check_files.np, "square", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt) as stopped:
            decode(paths, SHAPE, cache, True, 0)
    assert entries(cache) == []
    with FileLock(cache / ".lock", timeout=0):
        assert stopped.value is not None  # alive, and with it the frames that held the lock
    assert_right(decode(paths, SHAPE, cache, True, 0))


@pytest.mark.parametrize("damage", ["pixels.npy", "sums.npy", "errors.json", "digests"])
def test_what_a_crash_of_the_machine_cut_is_made_anew(
    paths: list[Path], cache: Path, fills: list[int], damage: str
) -> None:
    decode(paths, SHAPE, cache, True, 0)
    [cut] = cache.glob("*.digests.npy" if damage == "digests" else f"*/{damage}")
    for data in (cut.read_bytes()[:-1], b""):
        cut.write_bytes(data)
        assert_right(decode(paths, SHAPE, cache, True, 0))
    assert fills == [COUNT] * (1 if damage == "digests" else 3)


def test_a_cache_that_cannot_be_written_is_done_without(
    paths: list[Path], fills: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = paths[0] / "cache"
    for _ in range(2):
        assert_right(decode(paths, SHAPE, nowhere, True, 0))
    assert fills == [COUNT] * 2
    text = f"{nowhere} cannot be written (Not a directory): images are decoded at each start"
    assert caplog.record_tuples == [("trainyard.data.kept", logging.WARNING, text)] * 2


@pytest.mark.parametrize("where", [(np, "save"), (np.lib.format, "write_array_header_1_0"), (json, "dumps")])
def test_a_full_disk_is_said_clearly(
    paths: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*where, full)
        with pytest.raises(ConfigError) as refused:
            decode(paths, SHAPE, cache, True, 0)
    assert str(refused.value).splitlines() == [
        f"data.cache={cache}: cannot be written (No space left on device)",
        "  accepted: a folder on a disk with 1 MiB free, or data.resident=false",
    ]
    assert entries(cache) == []
    assert_right(decode(paths, SHAPE, cache, True, 0))


def test_files_that_cannot_be_read_are_zeros_with_a_reason(paths: list[Path], cache: Path) -> None:
    paths[0].write_bytes(b"")
    paths[2].write_bytes(b"hello")
    paths[5].write_bytes(paths[5].read_bytes()[:-30])
    paths[7].unlink()
    found = decode(paths, SHAPE, cache, True, 0)
    reasons = {0: "empty", 2: "not an image", 5: "image file is truncated", 7: "No such file or directory"}
    assert {position: text.partition(" (")[0] for position, text in found.errors.items()} == reasons
    assert found.pixels.flatten(1).any(1).tolist() == [position not in reasons for position in range(COUNT)]
    assert found.sums[list(reasons)].count_nonzero() == 0
    Image.fromarray(PIXELS[7]).save(paths[7])
    assert list(decode(paths, SHAPE, cache, True, 0).errors) == [0, 2, 5], "a file that is there now is read"
