"""Which GPUs a job may see."""

import os
from pathlib import Path


def device_of(slot: int, slots: int) -> str | None:
    """Return the GPUs of a slot, in the way of CUDA_VISIBLE_DEVICES; `None` where there are none to divide.

    They are counted without CUDA, which a process must not have started before it forks.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        numbers = sorted(int(file.name[6:]) for file in Path("/dev").glob("nvidia*") if file.name[6:].isdigit())
        visible = ",".join(map(str, numbers))
    devices = [device for device in visible.split(",") if device]
    if not devices or slots == 1:
        return None
    return ",".join(devices[slot % len(devices) :: slots])
