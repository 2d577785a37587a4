"""Files of checkpoints that are whole or not there, and known to be whole."""

import errno
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch

from trainyard.checkpoints.checksum import is_intact, seal
from trainyard.files import MIB, relative

log = logging.getLogger(__name__)

LAST, PREVIOUS, BEST, DAMAGED = "last.ckpt", "previous.ckpt", "best.ckpt", "damaged.ckpt"


def write_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint beside `path` and move it there when the disk has it; of `last.ckpt` the one before stays.

    Raises:
        OSError: it cannot be written, with what is to be done about it; what was there before is there still.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    failure: OSError | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, draft)
        seal(draft)
        if path.name == LAST and path.exists():
            path.replace(path.with_name(PREVIOUS))
        draft.replace(path)
    except (OSError, RuntimeError) as error:  # torch does not say which
        failure = reason(error, checkpoint, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    if failure:  # raised here: what torch raises holds on to the file, and so to its space
        raise failure


def reason(error: OSError | RuntimeError, checkpoint: Mapping[str, Any], path: Path) -> OSError:
    """Return why a checkpoint cannot be written, in the words of the person who can change it."""
    needed, free = size(checkpoint), 0
    with suppress(OSError):
        free = shutil.disk_usage(path.parent).free
    place, number = relative(path), getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or (number is None and free < 2 * needed):
        space = f"{needed / MIB:.1f} MiB are needed and {free / MIB:.1f} MiB free there: free some"
        return OSError(errno.ENOSPC, f"{place} cannot be written: the disk is full, {space}")
    return OSError(number or errno.EIO, f"{place} cannot be written ({str(error).splitlines()[0]})")


def size(node: Any) -> int:
    """Return the bytes of all tensors in nested dicts and lists."""
    if isinstance(node, torch.Tensor):
        return node.nbytes
    items = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return sum(size(item) for item in items)


def newest_intact(folder: Path) -> Path | None:
    """Return the last checkpoint in a folder, or the one before where the last is damaged; `None` without either."""
    return next((folder / name for name in (LAST, PREVIOUS) if is_intact(folder / name)), None)


def set_damaged_aside(folder: Path) -> None:
    """Rename damaged checkpoints, with a warning, so that an intact one is used and not replaced by them."""
    for name in (LAST, PREVIOUS, BEST):
        if (folder / name).exists() and not is_intact(folder / name):
            numbers = (f"{Path(DAMAGED).stem}-{number}.ckpt" for number in count(2))
            free = next(new for new in chain([DAMAGED], numbers) if not (folder / new).exists())
            log.warning("%s is damaged: its checksum is wrong; renamed to %s", relative(folder / name), free)
            (folder / name).rename(folder / free)
