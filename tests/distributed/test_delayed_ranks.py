"""Two processes come to the same decisions, however late one of them is; otherwise they would wait without end."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
import torch

from tests.distributed import ranks
from tests.distributed.ranks import DDP_CPU, end, start

RUNS, EPOCHS = 20, 200
SAVE_AT_ONCE = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
FEW = (
    *(f"trainer.max_epochs={EPOCHS}", "+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1"),
    *("+trainer.limit_test_batches=1", "logger=csv", f"+callbacks.delay._target_={ranks.__name__}.Delay"),
)
PLANS = [  # each decides something by a clock, or by what one process alone knows
    (),
    (SAVE_AT_ONCE,),
    ("checkpoint.every_minutes=0.0002", SAVE_AT_ONCE),
    ("+trainer.val_check_interval='00:00:00:01'", "+trainer.check_val_every_n_epoch=null"),
    ("ema_decay=0.9",),
]
HOOKS = ("validation_start", "validation_end", "train_batch_start", "train_batch_end")


@pytest.mark.parametrize(
    "hook", ["on_train_epoch_end", *(pytest.param(f"on_{name}", marks=pytest.mark.slow) for name in HOOKS)]
)
def test_a_stop_that_one_process_requests_holds_for_all(tmp_path: Path, hook: str) -> None:
    words = (
        f"+callbacks.stop._target_={ranks.__name__}.StopOnOne",
        f"+callbacks.stop.hook={hook}",
        "hydra.run.dir=run",
    )
    done = end(start(tmp_path, *DDP_CPU, *words, "trainer.max_epochs=50"), tmp_path)
    assert done.code == 0, done.screen
    assert done.result["epochs"] == 2


@pytest.mark.slow
def test_delays_of_one_process_hang_no_run(tmp_path: Path) -> None:
    for number in range(RUNS):
        delay = (f"+callbacks.delay.rank={number % 2}", f"+callbacks.delay.seed={number}")
        process = start(tmp_path, *DDP_CPU, *FEW, *PLANS[number % len(PLANS)], *delay, f"hydra.run.dir={number}")
        try:
            screen, _ = process.communicate(timeout=600)  # no run takes a minute: only one that hangs takes so long
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, f"run {number}\n{screen}"
        last = torch.load(tmp_path / str(number) / "checkpoints" / "last.ckpt", weights_only=True)
        assert last["epoch"] == EPOCHS - 1
        assert last["global_step"] == 2 * EPOCHS
