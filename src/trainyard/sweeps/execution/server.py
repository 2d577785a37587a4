"""The process that has imported what all jobs need, and forks them."""

import multiprocessing
import os
import signal
from typing import Any

PRELOADED = ["trainyard.sweeps.execution.preloaded"]
PRUNERS = "trainyard.sweeps.search.pruners"


def job_context(pruned: bool = False) -> Any:
    """Return how jobs are started: forked by a server that has imported what all need, where the system can do that.

    Args:
        pruned: whether they ask the journal how they stand.
    """
    if os.name != "posix":
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *([PRUNERS] if pruned else [])])
    deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's, while it imports; a job listens again
    try:
        ensure_running()
    finally:
        signal.signal(signal.SIGINT, deaf)
    return context
