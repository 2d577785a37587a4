"""Runs whose processes torchrun starts, and restarts."""

import os
import re
from contextlib import suppress
from pathlib import Path
from uuid import UUID


def run_name(own: str) -> str:
    """Return the name of a run's directory: the ID of the torchrun command, which all processes share, or `own`.

    The ID is `--rdzv-id`, so that the same command resumes the run; without it, the random ID that torchrun drew.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return own
    if name == "none":  # the error file is none_RANDOM/attempt_N/RANK/error.json
        name = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[2].name.removeprefix("none_")
    with suppress(ValueError):
        name = f"{UUID(name)}"[:8]
    return f"torchrun-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"


def attempt() -> int:
    """Return how often torchrun has restarted the processes."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def join_after_restart(backend: str) -> None:
    """Join the process group of a restart.

    torch 2.13 reads the addresses of the previous attempt from torchrun's store; a prefix for each attempt avoids it.
    """
    if attempt() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        from torch.distributed import PrefixStore, TCPStore, init_process_group  # type: ignore[attr-defined]

        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = PrefixStore(f"attempt_{attempt()}", TCPStore(address, port, is_master=False))
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        init_process_group(backend, store=store, rank=rank, world_size=size)


def remove_failed_result(run: Path) -> None:
    """Remove `result.json` of a run that failed when torchrun restarts its processes: the run resumes.

    Each process calls it before rank 0 writes, so that all resume from the same checkpoint. The result of a completed
    run stays.
    """
    if attempt():
        from trainyard.run_directory import read_result

        if read_result(run).get("status") != "completed":
            (run / "result.json").unlink(missing_ok=True)
