"""What comes over a network: whether a server can be reached, and files that arrive whole or not at all."""

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

SECONDS = 5


def check_reachable(url: str) -> None:
    """Ask for the head of a page, and wait for seconds: the hubs' own clients try for a minute before they give up.

    Any answer is one, a refusal too.

    Raises:
        OSError: there is no answer.
    """
    with contextlib.suppress(HTTPError, HTTPException):
        urlopen(Request(url, method="HEAD"), timeout=SECONDS).close()


@contextlib.contextmanager
def draft_of(root: Path) -> Iterator[Path]:
    """Give an empty folder whose files are moved below `root` when all went well; else nothing of it stays.

    One process at a time has such a folder; the others wait.
    """
    made = not root.is_dir()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / ".lock"), TemporaryDirectory(dir=root, prefix=".draft-") as draft:
            yield Path(draft)
            for file in [path for path in Path(draft).rglob("*") if path.is_file()]:
                target = root / file.relative_to(draft)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
    finally:
        with contextlib.suppress(OSError):  # another process waits for the lock, or the folder holds something
            (root / ".lock").unlink(missing_ok=True)
            if made:
                root.rmdir()


def linked(file: Path, name: Path) -> None:
    """Give a file a second name; a copy where the disk has no hard links."""
    name.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
