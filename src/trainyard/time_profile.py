"""Where the time of a run went, in a table."""

import math
import re
import time
from collections import defaultdict

import torch
from lightning.pytorch.profilers import SimpleProfiler

MOST = 12  # rows; the smallest parts are one

# What Lightning's names of its actions mean; the first that is found in a name counts.
PARTS = (
    (r"Checkpoint\.|save_checkpoint|load_checkpoint", "checkpoints"),
    (r"\[Callback\](?P<name>\w+)", "callback"),
    (r"\.training_step$", "forward pass and loss"),
    (r"\.backward$", "backward pass"),
    (r"\.(optimizer_|lr_scheduler_step|configure_gradient_clipping)", "optimizer and schedule"),
    (r"train_dataloader_next|batch_to_device|batch_transfer", "batches: read, augment, move"),
    (r"val_next|validation", "validation"),
    (r"test_next|test", "test"),
    (r"run_training_", "Lightning's loop and loggers"),
    (r"", "set-up and other hooks"),
)


class TimeProfile(SimpleProfiler):
    """Lightning's profiler, which also knows what lies inside what, so that no second is counted twice.

    Every action, with what lies inside it, is in `profile.txt`. On a GPU an action waits for its kernels to end, since
    they would count for a later one otherwise; so the run as a whole is slower than without the profiler.

    Args:
        folder: where `profile.txt` goes.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(dirpath=folder, filename="profile")
        self.made = time.monotonic()
        self.inside: list[float] = []  # seconds of what lies in each action that has not ended
        self.own: dict[str, list[float]] = defaultdict(list)  # seconds of each action without what lies in it

    def start(self, action_name: str) -> None:
        """Begin an action inside the one that began last."""
        wait_for_kernels()
        super().start(action_name)
        self.inside.append(0.0)

    def stop(self, action_name: str) -> None:
        """End the action that began last."""
        wait_for_kernels()
        super().stop(action_name)
        seconds = self.recorded_durations[action_name][-1]
        self.own[action_name].append(seconds - self.inside.pop())
        if self.inside:
            self.inside[-1] += seconds

    def describe(self) -> None:
        """Write the actions of the first process to the file."""
        if self._local_rank in (None, 0):
            super().describe()

    def _prepare_filename(self, action_name: str | None = None, extension: str = ".txt") -> str:
        return f"{self.filename}{extension}"  # Lightning's own would be a file for fit and one for test

    def table(self, started: float) -> str:
        """Return the parts of a run, the longest first; their times add up to that of the run.

        Args:
            started: when it was, in seconds of `time.monotonic`.
        """
        if not self.own:
            return f"where the time went: {self.dirpath}/profile.txt, by the processes that trained"
        total = time.monotonic() - started
        parts = self.parts()
        parts["data and model built"] = [[self.made - started]]
        rows = sorted(((sum(map(math.fsum, part)), name) for name, part in parts.items()), reverse=True)[: MOST - 1]
        lines = [f"{'where the time went':<30} {'calls':>8} {'seconds':>9} {'ms each':>9} {'share':>7}"]
        for seconds, name in rows:
            calls = len(max(parts[name], key=math.fsum))  # of what takes longest in it
            each = seconds / calls * 1000
            lines.append(f"{name:<30} {calls:>8,} {seconds:>9.3f} {each:>9.2f} {seconds / total:>7.1%}")
        rest = total - math.fsum(seconds for seconds, _ in rows)
        lines.append(f"{'the rest: loggers, files':<30} {rest:>18.3f} {rest / total:>17.1%}")
        lines.append(f"{'the run':<30} {total:>18.3f} {1:>17.1%}")
        return "\n".join(lines)

    def parts(self) -> dict[str, list[list[float]]]:
        """Return the parts by name: of each of its actions the seconds of all calls."""
        parts: dict[str, list[list[float]]] = defaultdict(list)
        for action, seconds in self.own.items():
            parts[part_of(action)].append(seconds)
        return parts


def part_of(action: str) -> str:
    """Return in a person's words what part of a run an action of Lightning's is."""
    for pattern, part in PARTS:
        if found := re.search(pattern, action):
            return " ".join([part, *found.groupdict().values()])
    raise AssertionError("the last pattern is in every name")


def wait_for_kernels() -> None:
    """Have the clock show when a GPU is done, not when it was asked."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
