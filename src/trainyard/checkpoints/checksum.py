"""A checksum at the end of a checkpoint, as the comment that every zip archive may have, which torch's files are."""

import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from trainyard.files import open_regular

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
    """Whether a file is there and every bit of it as it was written.

    One that others have written, unsealed, is looked at by the checksums of a zip archive's own.
    """
    try:
        with open_regular(path, most=None) as file:
            end = file.seek(-LENGTH - len(SIZE), os.SEEK_END)
            found = file.read()
            if found.startswith(SIZE + COMMENT[:6]):
                return found == SIZE + COMMENT % crc32(file, end)
            return zipfile.ZipFile(file).testzip() is None
    except Exception:  # it is not there, or no archive: each damaged file fails in its own way
        return False


def crc32(file: BinaryIO, end: int) -> int:
    """Return the checksum of a file's bytes up to `end`."""
    checksum, left = 0, end
    file.seek(0)
    while left > 0 and (part := file.read(min(AT_ONCE, left))):
        checksum = zlib.crc32(part, checksum)
        left -= len(part)
    return checksum
