"""Why a process that trains together with others ended, told to the one that started it."""

import atexit
import os
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from trainyard.files import write_json, write_text

FOLDER = "TRAINYARD_REASONS"
TORCHRUN = "TORCHELASTIC_ERROR_FILE"


class ProcessDied(RuntimeError):  # noqa: N818  # as torch says ProcessExitedException
    """A process that trained together with others has died; the message names its rank and the reason."""


def collect() -> Path:
    """Make the folder that the processes started from now on write their reasons to, and return it."""
    folder = Path(tempfile.mkdtemp(prefix="trainyard-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[FOLDER] = str(folder)
    return folder


@contextmanager
def told(local_rank: int | None = None) -> Iterator[None]:
    """Write down the error that ends this process, for the process that started it, or for torchrun."""
    rank = local_rank if local_rank is not None else os.environ.get("LOCAL_RANK", "0")
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # the folder is gone with the one that would have read it
            if FOLDER in os.environ:
                lost = "lost\n" if lost_another(error) else "\n"
                write_text(Path(os.environ[FOLDER], str(rank)), f"{lost}{type(error).__name__}: {error}")
            elif TORCHRUN in os.environ and isinstance(error, Exception) and not lost_another(error):
                tell_torchrun(error)
        raise


def tell_torchrun(error: Exception) -> None:
    """Write what `torch.distributed.elastic` does, but at once: torchrun may read while a process still writes."""
    more = {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}
    message = {"message": f"{type(error).__name__}: {error}", "extraInfo": more}
    write_json(Path(os.environ[TORCHRUN]), {"message": message})


def lost_another(error: BaseException) -> bool:
    """Whether an error only says that another process is gone."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def death(folder: Path, codes: Mapping[int, int], first: int = 0, missed: bool = False) -> str | None:
    """Return a sentence on the process that died first, or nothing where none died by itself.

    Args:
        folder: of the reasons.
        codes: by local rank, how each process that has ended did: its exit code, or minus the number of a signal.
        first: the rank of the machine's first process.
        missed: whether this process misses another; one that has left without an error is it then.
    """
    noted = {rank: (folder / str(rank)).read_text(encoding="utf-8") for rank in codes if (folder / str(rank)).is_file()}
    lost = {rank for rank, text in noted.items() if text.startswith("lost\n")}
    own = [rank for rank, code in codes.items() if rank not in lost and code != 0]
    left = [rank for rank, code in codes.items() if code == 0 and rank not in noted]
    for rank in own or (left if lost or missed else []):
        reason = noted.get(rank, "").partition("\n")[2]
        return f"rank {first + rank} {f'failed: {reason}' if reason else ended(codes[rank])}"
    return None


def ended(code: int) -> str:
    """Return how a process ended that gave no reason."""
    if code >= 0:
        return f"ended with exit code {code}, before the others"
    with suppress(ValueError):
        more = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{more}"
    return f"was killed by signal {-code}"
