"""A trial and a whole job by the clock of the processor, which other work on the machine does not move."""

import time
from pathlib import Path
from types import SimpleNamespace

import lightning as L

from trainyard.sweeps.plan import stopwatch, trial

FILE = "processor"


class Seconds(L.Callback):
    """Writes the seconds of the processor that a job has taken until its end."""

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage == "test":
            (Path(trainer.default_root_dir) / FILE).write_text(str(time.process_time()))


class Trial(stopwatch.Stopwatch, Seconds):
    """Shortens the job too, and times its parts by that clock."""

    def __init__(self) -> None:
        super().__init__()
        stopwatch.time = trial.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment, attr-defined]
