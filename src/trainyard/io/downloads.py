"""Network access: whether a server is reachable, and downloads that appear complete or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock

TIMEOUT_SECONDS = 5  # the clients of the hubs retry for a minute


def check_reachable(url: str) -> None:
    """Request the header of a page; raise an OSError without a response. An error status is a response, too."""
    with contextlib.suppress(HTTPError, HTTPException):
        urlopen(Request(url, method="HEAD"), timeout=TIMEOUT_SECONDS).close()


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Yield an empty folder whose files are moved to `root` at the end, or removed after an error.

    Only one process at a time has such a folder; the others wait.
    """
    created = not root.is_dir()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / ".lock"), TemporaryDirectory(dir=root, prefix=".draft-") as draft:
            yield Path(draft)
            for file in [path for path in Path(draft).rglob("*") if path.is_file()]:
                target = root / file.relative_to(draft)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        with contextlib.suppress(OSError):  # another process waits for the lock, or the folder is not empty
            (root / ".lock").unlink(missing_ok=True)
            if created:
                root.rmdir()


def link_or_copy(file: Path, name: Path) -> None:
    """Create a hard link, or a copy on file systems without hard links."""
    name.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
