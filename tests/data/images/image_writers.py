"""Writes image files with more than 8 bits per channel, most of which Pillow cannot write."""

import struct
import zlib
from pathlib import Path

import numpy as np


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save_png16(path: Path, values: np.ndarray) -> Path:
    """Write uint16 `[H, W]` or `[H, W, C]` as a 16-bit PNG."""
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colours, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def save_tiff(path: Path, values: np.ndarray, order: str = "<", compressed: bool = False) -> Path:
    """Write `[H, W]` or `[H, W, C]` as a TIFF of one strip; `order` is the byte order `<` or `>`."""
    height, width, *rest = values.shape
    channels = rest[0] if rest else 1
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if compressed else data
    entries = {256: (width,), 257: (height,), 258: (values.itemsize * 8,) * channels, 259: (8 if compressed else 1,)}
    entries |= {262: (2 if channels > 2 else 1,), 273: (8,), 277: (channels,), 278: (height,), 279: (len(data),)}
    entries |= {338: (2,)} if channels == 4 else {}
    entries |= {339: ({"u": 1, "i": 2, "f": 3}[values.dtype.kind],) * channels}
    data += b"\0" * (len(data) % 2)
    place = 8 + len(data)
    behind = place + 2 + 12 * len(entries) + 4
    directory, more = struct.pack(f"{order}H", len(entries)), b""
    for tag, numbers in entries.items():
        raw = struct.pack(f"{order}{'I' if tag in (273, 279) else 'H'}" + "H" * (len(numbers) - 1), *numbers)
        if len(raw) > 4:
            raw, more = struct.pack(f"{order}I", behind + len(more)), more + raw
        directory += struct.pack(f"{order}HHI", tag, 4 if tag in (273, 279) else 3, len(numbers)) + raw.ljust(4, b"\0")
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, place)
    path.write_bytes(start + data + directory + bytes(4) + more)
    return path


def save_png_header(path: Path, width: int, height: int) -> Path:
    """Write a PNG with 1 bit per pixel whose header gives a size, with data for a few pixels."""

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path
