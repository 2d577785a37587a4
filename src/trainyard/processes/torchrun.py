"""What torchrun says of itself to the processes that it starts, and starts again."""

import os
import re
from contextlib import suppress
from pathlib import Path
from uuid import UUID


def run_name(own: str) -> str:
    """Return the name of a run's directory: that of the torchrun command, which all its processes share, or `own`.

    It is `--rdzv-id`, so that the same command goes on there; where none is given, what torchrun draws at random.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return own
    if name == "none":  # the folder of the command's error files: none_RANDOM/attempt_N/RANK/error.json
        name = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[2].name.removeprefix("none_")
    with suppress(ValueError):
        name = f"{UUID(name)}"[:8]
    return f"torchrun-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"


def attempt() -> int:
    """Return how often torchrun has started these processes again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def join_again(backend: str) -> None:
    """Join the process group of this attempt.

    The store where processes find each other is torchrun's, and still has the addresses of the attempt before: torch
    2.13 takes each attempt's to be new, and so asks at addresses where nobody is.
    """
    if attempt() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        from torch.distributed import PrefixStore, TCPStore, init_process_group  # type: ignore[attr-defined]

        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = PrefixStore(f"attempt_{attempt()}", TCPStore(address, port, is_master=False))
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        init_process_group(backend, store=store, rank=rank, world_size=size)


def go_on(run: Path) -> None:
    """Remove the result of a run that failed when torchrun starts its processes again: the run has not ended.

    Each process does, before the first of them writes: all go on from the same checkpoint. The result of a complete
    run, which an attempt that failed at its start has left in place, stays.
    """
    if attempt():
        from trainyard.run_directory import read_result

        if read_result(run).get("status") != "completed":
            (run / "result.json").unlink(missing_ok=True)
