"""What a job takes, by what was seen of its trial."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import mean

from trainyard.memory import bytes_on_disk
from trainyard.sweeps.plan.trial import FILE, Lap, Trial


@dataclass(frozen=True)
class Cost:
    """What a job takes, by its number of epochs.

    Attributes:
        fixed: seconds of its process beside the epochs: start, data, first steps, test.
        epoch: seconds of an epoch, with its validation and its checkpoints.
        epochs: that the job's `max_steps` allows; infinite where it has none.
        memory: bytes that its process needs at its peak beside those that it shares with the server.
        server: bytes of that, which all jobs share.
        gpu: bytes that it reserves on the GPU.
        files: bytes of its directory without checkpoints and epochs.
        grown: bytes that an epoch adds.
        weights: bytes of its checkpoints.
    """

    fixed: float
    epoch: float
    epochs: float
    memory: float
    server: float
    gpu: float
    files: float
    grown: float
    weights: float

    @classmethod
    def of(cls, folder: Path, seconds: float) -> "Cost":
        """Return what a job takes by the directory that its trial has left, and the seconds of the trial's process."""
        trial = Trial.read(folder)
        train, val, test = (trial.batches[stage] for stage in ("train", "val", "test"))
        steady = trial.epochs[1:] or trial.epochs  # the first is dearer
        step, validated = rate(epoch.train for epoch in steady), rate(epoch.val for epoch in steady)
        beside = mean(epoch.seconds - epoch.train.seconds - epoch.val.seconds for epoch in steady)
        tried = sum(beside + step * e.train.batches + validated * e.val.batches for e in trial.epochs)
        rest_of_test = rate([trial.test]) * (test - trial.test.batches)
        sizes = [epoch.size for epoch in trial.epochs]
        grown = (sizes[-1] - sizes[0]) / max(1, len(sizes) - 1)
        size = bytes_on_disk(folder, but="checkpoints") - (folder / FILE).stat().st_size
        return cls(
            fixed=max(0.0, seconds - tried) + rest_of_test,
            epoch=beside + step * train + validated * val * trial.validations,
            epochs=trial.max_steps / train if trial.max_steps > 0 else math.inf,
            memory=trial.memory,
            server=trial.server,
            gpu=trial.gpu,
            files=size - grown * len(sizes),
            grown=grown * train / max(1, steady[0].train.batches),  # at most: some of it comes once an epoch
            weights=bytes_on_disk(folder / "checkpoints"),
        )

    @classmethod
    def between(cls, costs: Iterable["Cost"]) -> "Cost":
        """Return the mean of the costs of trials of the same job."""
        return cls(*map(mean, zip(*map(astuple, costs), strict=True)))

    def seconds(self, epochs: float) -> float:
        """Return the seconds of a job."""
        return self.fixed + min(epochs, self.epochs) * self.epoch

    def disk(self, epochs: float) -> float:
        """Return the bytes that a job leaves, without its checkpoints."""
        return self.files + min(epochs, self.epochs) * self.grown


def rate(laps: Iterable[Lap]) -> float:
    """Return the seconds of a batch."""
    found = list(laps)
    batches = sum(lap.batches for lap in found)
    return sum(lap.seconds for lap in found) / batches if batches else 0.0
