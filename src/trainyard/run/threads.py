"""The number of threads of torch's operations on the CPU, chosen by the work of a training step.

In a small operation, synchronizing threads costs more than it saves. If another program uses their cores, a step can
take a hundred times as long. `scripts/benchmark_threads.py` measures it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lightning as L
import torch

from trainyard.data.loading.forward_cost import forward_cost
from trainyard.io.files import read_json, write_json
from trainyard.io.resources import available_cores

log = logging.getLogger(__name__)

FLOPS_PER_THREAD = 2**26  # of a training step: about 1 ms
FORWARD_PASSES = 3  # take as long as a training step, which is a forward and a backward pass
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
DEFAULT = torch.get_num_threads()  # before the user sets it in Python
PROVENANCE = "provenance.json"


@contextmanager
def chosen_threads(
    trainer: L.Trainer, model: L.LightningModule, data: L.LightningDataModule, resumed: Path | None = None
) -> Iterator[None]:
    """Within this context, use as many threads as suit the work of a run, or as many as a `resumed` run has used.

    The number that the user has set is not changed. Without an `example_input_array` or a batch size, the work is not
    known, and each core gets a thread.
    """
    flops = FORWARD_PASSES * forward_cost(model).flops * batch_size(data)
    cores = max(1, available_cores() // trainer.num_devices)
    if trainer.strategy.root_device.type != "cpu" or is_set():
        yield
        return
    count = min(cores, max(1, int(flops / FLOPS_PER_THREAD))) if flops else cores
    reason = f"a step takes {flops / 1e6:,.1f} MFLOP" if flops else "the work of a step is not known"
    if resumed and (stored := read_threads(resumed)):
        count, reason = min(stored, cores), "as before"
    log.log(logging.INFO if cores > 1 else logging.DEBUG, "threads    %d of %d cores: %s", count, cores, reason)
    with use_threads(count):
        yield


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Use a number of threads within this context, but not if the user has set it; 0 changes nothing."""
    before = torch.get_num_threads()
    if count and not is_set():
        torch.set_num_threads(min(count, available_cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_threads(folder: Path) -> int:
    """Return the number of threads of the run in a directory; 0 if it is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return max(0, int(read_json(folder / PROVENANCE)["hardware"]["threads"]))
    return 0


def record_threads(folder: Path) -> None:
    """Correct the number of threads in the provenance of a run, which was written before the choice."""
    record = read_json(folder / PROVENANCE)
    if record["hardware"]["threads"] != torch.get_num_threads():
        record["hardware"]["threads"] = torch.get_num_threads()
        write_json(folder / PROVENANCE, record)


def is_set() -> bool:
    """Return whether the user has set the number of threads, by a variable of the environment or in Python."""
    given = torch.get_num_threads() not in (DEFAULT, available_cores())
    return given or any(os.environ.get(name) for name in VARIABLES)


def batch_size(data: L.LightningDataModule) -> int:
    """Return the number of examples in a training batch; 0 if it is not known."""
    size = getattr(data, "batch_size", None) or data.hparams.get("batch_size")
    return size if isinstance(size, int) else 0
