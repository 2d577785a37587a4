"""The end of the process that started this one."""

import os
import threading
import time

LOOK_EVERY = 0.2  # seconds
PATIENCE = 5.0  # seconds that this process has to end by itself: it meets an error, or is interrupted by the system


def end_with_parent() -> None:
    """End this process some seconds after the one that started it, however that ends."""
    threading.Thread(target=wait_and_end, args=(os.getppid(),), daemon=True).start()


def wait_and_end(parent: int) -> None:
    """Wait until the parent is gone, and end."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    time.sleep(PATIENCE)
    os._exit(1)
