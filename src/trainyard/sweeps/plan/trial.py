"""What was seen of a job that was tried."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trainyard.files import write_json

FILE = "trial.json"


@dataclass
class Lap:
    """Batches of one sort, one after the other.

    Attributes:
        seconds: from the begin of the first to the stop after the last.
        batches: how many.
        began: when, by `time.perf_counter`.
    """

    seconds: float = 0.0
    batches: int = 0
    began: float | None = None

    def begin(self) -> None:
        """Start the clock, if it does not run."""
        if self.began is None:
            self.began = time.perf_counter()

    def end(self) -> None:
        """Note that a batch has ended, as far as the processor has to do with it."""
        self.batches += 1

    def stop(self) -> None:
        """Stop the clock, when the last has ended on the device too."""
        if self.began is not None:
            self.seconds = time.perf_counter() - self.began


@dataclass
class Epoch:
    """An epoch: its seconds, the steps and the batches of validation in it, and the bytes of the run after it."""

    seconds: float
    train: Lap
    val: Lap
    size: int


@dataclass
class Trial:
    """What was seen of a job.

    Attributes:
        batches: of train, val and test in an epoch of the job itself.
        validations: in an epoch of the job itself.
        max_steps: as Lightning has it, -1 for no limit.
        epochs: that were tried, shorter than those of the job.
        test: that was tried.
        memory, server, gpu: bytes of its process beyond those of the server, of the server, and on the GPU.
    """

    batches: dict[str, int] = field(default_factory=dict)
    validations: float = 1.0
    max_steps: int = -1
    epochs: list[Epoch] = field(default_factory=list)
    test: Lap = field(default_factory=Lap)
    memory: int = 0
    server: int = 0
    gpu: int = 0

    def write(self, folder: Path) -> None:
        """Write it as `trial.json`."""
        write_json(folder / FILE, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Trial":
        """Return what `write` wrote."""
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        epochs = [Epoch(e["seconds"], Lap(**e["train"]), Lap(**e["val"]), e["size"]) for e in found["epochs"]]
        return cls(**{**found, "epochs": epochs, "test": Lap(**found["test"])})
