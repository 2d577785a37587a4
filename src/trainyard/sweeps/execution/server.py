"""The process that has imported what all jobs need, and forks them."""

import multiprocessing
import os
import signal
from typing import Any

from trainyard.import_path import installed_only_in_children

PRELOADED = ["trainyard.sweeps.execution.preloaded"]
NOHUP = "TRAINYARD_NOHUP"  # whether the sweep, and so its jobs, are to survive the terminal
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
    ignored = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]  # by the server, which has to see how its jobs end
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    os.environ[NOHUP] = str(int(handlers[signal.SIGHUP] == signal.SIG_IGN))
    try:
        with installed_only_in_children():
            ensure_running()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        del os.environ[NOHUP]
    return context
