"""What a person sees of a training on a terminal: where it stands, what it has reached, how long it will take."""

import math
import time
from collections import deque

import lightning as L
from rich.console import Group
from rich.text import Text

from trainyard.models.classifier import Classifier
from trainyard.run_length import planned_epochs
from trainyard.terminal.display import Display
from trainyard.terminal.durations import duration

WINDOW = 25  # drawings, so at least five seconds, over which the examples a second are taken
LONG = 1.0  # second of validation: a shorter one is not worth a word


class TrainingDisplay(Display):
    """A bar with the speed and the time to go; below it the scores of the epoch so far and of the last validation.

    Attributes:
        examples: that this process has trained on since the display opened.

    Args:
        trainer: that trains.
        model: that it trains.
    """

    def __init__(self, trainer: L.Trainer, model: Classifier) -> None:
        super().__init__()
        self.trainer, self.model = trainer, model
        self.examples = 0
        self.began, self.share_before = time.monotonic(), self.share
        self.validated = 0.0  # seconds, which do not count for the examples a second
        self.validation_began: float | None = None
        self.scored: tuple[int, float] | None = None  # epoch and accuracy of the last validation
        self.recent: deque[tuple[float, int]] = deque([(self.began, 0)], maxlen=WINDOW)

    def begin_validation(self) -> None:
        """Take note of the time that training does not have."""
        self.validation_began = time.monotonic()

    def end_validation(self) -> None:
        """Take note that training goes on."""
        self.validated += self.validating
        self.validation_began = None
        self.scored = self.trainer.current_epoch + 1, float(self.trainer.callback_metrics["val/acc"])

    @property
    def validating(self) -> float:
        """How long a validation has been going on, in seconds."""
        return 0.0 if self.validation_began is None else time.monotonic() - self.validation_began

    def show(self) -> None:
        """Draw how it stands."""
        facts = f"{self.activity():>18}", f"{self.time_to_go():>12}"
        line = self.bar(epoch_label(self.trainer, align=True), self.share, *facts)
        self.draw(Group(line, Text(self.scores(), no_wrap=True)))

    @property
    def share(self) -> float:
        """How much of all batches is done, those of training and of validation, from 0 to 1; 0 without a known end."""
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        epochs = planned_epochs(trainer) or math.inf
        done: int = loop.batch_progress.current.ready
        if trainer.validating:
            done += loop.val_loop.batch_progress.current.ready
        of_epoch = done / (trainer.num_training_batches + sum(trainer.num_val_batches))
        return min(1.0, (trainer.current_epoch + min(1.0, of_epoch)) / epochs)

    def activity(self) -> str:
        """Return how fast it trains, or how far a validation is that takes its time; nothing at the start."""
        if self.validating > LONG:
            done = self.trainer.fit_loop.epoch_loop.val_loop.batch_progress.current.ready
            return f"validating {done}/{sum(self.trainer.num_val_batches)}"
        if self.examples == 0:
            return ""
        seconds, examples = self.recent[0]
        self.recent.append((time.monotonic() - self.validated - self.validating, self.examples))
        rate = (self.recent[-1][1] - examples) / (self.recent[-1][0] - seconds)
        return f"{rate * self.trainer.world_size:,.0f} examples/s"

    def time_to_go(self) -> str:
        """Return the time that is left at the pace so far, validations included."""
        done = self.share - self.share_before
        left = (time.monotonic() - self.began) * (1 - self.share) / done if done > 0 else None
        return f"{duration(left)} to go" if left is not None else ""

    def scores(self) -> str:
        """Return loss and accuracy of training so far, and the accuracy of the last validation.

        An earlier epoch's is marked; the line fits into 60 columns.
        """
        sums = self.model.sums.get("train")
        loss, accuracy = (f"{mean:.4f}" for mean in sums.means()) if sums and sums.examples else ("-", "-")
        text = f"train/loss {loss}  train/acc {accuracy}"
        if self.scored is None:
            return text
        epoch, validated = self.scored
        earlier = f" (ep. {epoch})" if epoch != self.trainer.current_epoch + 1 else ""
        return f"{text}  val/acc {validated:.4f}{earlier}"


def epoch_label(trainer: L.Trainer, align: bool = False) -> str:
    """Return "epoch 3/10", or "epoch 3" if nobody knows how many there will be; numbers are aligned on request."""
    epoch, epochs = str(trainer.current_epoch + 1), planned_epochs(trainer)
    if epochs is None:
        return f"epoch {epoch}"
    return f"epoch {epoch:>{len(str(epochs)) if align else 1}}/{epochs}"
