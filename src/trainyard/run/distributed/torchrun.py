"""Runs whose processes torchrun starts, and restarts."""

import os
from pathlib import Path


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
        from trainyard.run.run_directory import read_result

        if read_result(run).get("status") != "completed":
            (run / "result.json").unlink(missing_ok=True)
