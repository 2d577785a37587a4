"""A small file that unpacks to a huge picture, and files that never end, are refused before they are read."""

import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainyard.data.image_files import read_image

SHAPE = (3, 4, 4)


def png(path: Path, width: int, height: int) -> Path:
    """Write a PNG of 1 bit a pixel whose head tells of so many, with data for a few of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(("side", "pixels"), [(50_000, "2,500,000,000"), (10_000, "100,000,000")])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int, pixels: str) -> None:
    path = png(tmp_path / "bomb.png", side, side)
    tracemalloc.start()
    with pytest.raises(OSError, match=f"bomb.png: {pixels} pixels, more than the limit of 89,478,485$"):
        read_image(path, SHAPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert path.stat().st_size < 200


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    Image.new("RGB", (6, 5), "red").save(tmp_path / "30.png")
    Image.new("RGB", (31, 1), "red").save(tmp_path / "31.png")
    assert np.unique(read_image(tmp_path / "30.png", SHAPE), axis=0).shape == (2, 4, 4), "255, 0, 0"
    with pytest.raises(OSError, match="31 pixels, more than the limit of 30"):
        read_image(tmp_path / "31.png", SHAPE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(tmp_path / "31.png", SHAPE).shape == SHAPE


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match=f"^{path}: no regular file$"):
            read_image(path, SHAPE)
    with pytest.raises(OSError, match="No such file or directory"):
        read_image(tmp_path / "gone.png", SHAPE)
