"""A checksum at the end of a checkpoint, as the comment that every zip archive may have, which torch's files are."""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

COMMENT = b"crc32:%08x"
LENGTH = len(COMMENT % 0)
SIZE = LENGTH.to_bytes(2, "little")
AT_ONCE = 2**24  # bytes


def seal(path: Path) -> None:
    """Add the checksum of all that a zip archive holds, and have the disk take it.

    The checksums of an archive's own do not cover its directory.
    """
    with path.open("r+b") as file:
        end = file.seek(-2, os.SEEK_END)  # where the length of the comment stands, which is the last thing
        checksum = crc32(file, end)
        file.seek(end)
        file.write(SIZE + COMMENT % checksum)
        file.flush()
        os.fsync(file.fileno())


def is_intact(path: Path) -> bool:
    """Whether a sealed file is there and every bit of it as it was written."""
    try:
        with path.open("rb") as file:
            end = file.seek(-LENGTH - 2, os.SEEK_END)
            file.seek(end)
            found = file.read()
            return found == SIZE + COMMENT % crc32(file, end)
    except OSError:  # it is not there, or shorter than that
        return False


def crc32(file: BinaryIO, end: int) -> int:
    """Return the checksum of a file's bytes up to `end`."""
    checksum, left = 0, end
    file.seek(0)
    while left > 0 and (part := file.read(min(AT_ONCE, left))):
        checksum = zlib.crc32(part, checksum)
        left -= len(part)
    return checksum
