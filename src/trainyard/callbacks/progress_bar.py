"""The progress of a run: a bar on a terminal, otherwise one line per epoch; and the curves of its scores."""

import logging
import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Group
from rich.text import Text

from trainyard.callbacks.protocols import ScoresTraining, count_examples
from trainyard.terminal.display import Display
from trainyard.terminal.formats import format_duration

log = logging.getLogger(__name__)

SCORES = ("train/loss", "train/acc", "val/loss", "val/acc")
WINDOW = 25  # redraws, at least five seconds, over which the examples per second are averaged


class ProgressReporter(ProgressBar):
    """Logs the scores of each epoch, and shows a bar on a terminal.

    Attributes:
        curves: the values of each score by epoch, including those before a resume, without epochs that were not
            validated.
        validation: scores of the last validation in this epoch; empty before it.
        reported: the optimizer step of the last report, -1 before the first, `None` before training starts.
    """

    state_key = "ProgressReporter"

    def __init__(self) -> None:
        super().__init__()
        self.training: TrainingDisplay | None = None
        self.testing: Display | None = None
        self.enabled = True
        self.curves: dict[str, list[float]] = {}
        self.validation: dict[str, float] = {}
        self.reported: int | None = None

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.reported = -1
        display = TrainingDisplay(trainer, pl_module)
        if self.enabled and display.visible:
            self.training = display
            display.show()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validation = {}

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.training is not None:
            self.training.examples += count_examples(batch)
            if time.monotonic() >= self.training.due:
                self.training.show()

    def on_validation_batch_end(self, *arguments: Any, **more: Any) -> None:
        if self.training is not None and time.monotonic() >= self.training.due:
            self.training.show()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the scores; report them if this epoch has been reported already."""
        if trainer.sanity_checking:
            return
        self.validation = {name: float(trainer.callback_metrics[name]) for name in SCORES[2:]}
        if self.training is not None:
            self.training.scored = trainer.current_epoch + 1, self.validation["val/acc"]
        if self.reported in (None, trainer.global_step):  # after the last epoch
            self.report("final weights", self.validation)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.on_train_epoch_end()  # logs the training scores; Lightning calls it after its callbacks
        scores = {name: float(trainer.callback_metrics[name]) for name in SCORES[:2]} | self.validation
        self.report(epoch_label(trainer), scores)
        self.reported = trainer.global_step

    def report(self, label: str, scores: Mapping[str, float]) -> None:
        """Add scores to the curves, and log them; "-" stands for a missing score."""
        for name, value in scores.items():
            self.curves.setdefault(name, []).append(value)
        if self.enabled:
            text = "  ".join(f"{name} {scores[name]:.4f}" if name in scores else f"{name} -" for name in SCORES)
            log.info("%s  %s", label, text, extra={"displayed": self.training is not None})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.close()

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.testing = Display() if self.enabled else None

    def on_test_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *more: Any, **others: Any) -> None:
        if self.testing is not None and time.monotonic() >= self.testing.due:
            done, total = more[2] + 1, sum(trainer.num_test_batches)
            self.testing.draw(self.testing.bar("test", done / total, f"{done}/{total}"))

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that an error starts on its own line."""
        self.close()

    def close(self) -> None:
        """Close the bar, if there is one."""
        for display in (self.training, self.testing):
            if display is not None:
                display.close()
        self.training = self.testing = None

    def state_dict(self) -> dict[str, Any]:
        return {"curves": {name: [*values] for name, values in self.curves.items()}, "validation": self.validation}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curves = {name: [*values] for name, values in state_dict["curves"].items()}
        self.validation = dict(state_dict["validation"])


class TrainingDisplay(Display):
    """A bar with throughput and remaining time, and below it the scores of this epoch and of the last validation.

    Attributes:
        examples: number of training examples in this process since the display was opened.
        scored: epoch and accuracy of the last validation.
    """

    def __init__(self, trainer: L.Trainer, model: L.LightningModule) -> None:
        super().__init__()
        self.trainer, self.model = trainer, model
        self.examples = 0
        self.started, self.first_share = time.monotonic(), self.share
        self.scored: tuple[int, float] | None = None
        self.recent: deque[tuple[float, int]] = deque([(self.started, 0)], maxlen=WINDOW)

    def show(self) -> None:
        """Redraw."""
        facts = f"{self.throughput():>18}", f"{self.remaining_time():>12}"
        line = self.bar(epoch_label(self.trainer, align=True), self.share, *facts)
        self.draw(Group(line, Text(self.scores(), no_wrap=True)))

    @property
    def share(self) -> float:
        """The finished share of all training and validation batches, from 0 to 1; 0 without a known end."""
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        epochs = planned_epochs(trainer) or math.inf
        done: int = loop.batch_progress.current.ready
        if trainer.validating:
            done += loop.val_loop.batch_progress.current.ready
        of_epoch = done / (trainer.num_training_batches + sum(trainer.num_val_batches))
        return min(1.0, (trainer.current_epoch + min(1.0, of_epoch)) / epochs)

    def throughput(self) -> str:
        """Return the training examples per second of all processes, over the last redraws."""
        if self.examples == 0:
            return ""
        seconds, examples = self.recent[0]
        self.recent.append((time.monotonic(), self.examples))
        rate = (self.recent[-1][1] - examples) / (self.recent[-1][0] - seconds)
        return f"{rate * self.trainer.world_size:,.0f} examples/s"

    def remaining_time(self) -> str:
        """Return the remaining time, estimated from the time so far, with validations."""
        done = self.share - self.first_share
        left = (time.monotonic() - self.started) * (1 - self.share) / done if done > 0 else None
        return f"{format_duration(left)} to go" if left is not None else ""

    def scores(self) -> str:
        """Return the current training scores and the last validation accuracy, with its epoch if it is earlier."""
        known = self.model.training_scores() if isinstance(self.model, ScoresTraining) else {}
        text = "  ".join(f"{name} {known[name]:.4f}" if name in known else f"{name} -" for name in SCORES[:2])
        if self.scored is None:
            return text
        epoch, validated = self.scored
        earlier = f" (ep. {epoch})" if epoch != self.trainer.current_epoch + 1 else ""
        return f"{text}  val/acc {validated:.4f}{earlier}"


def epoch_label(trainer: L.Trainer, align: bool = False) -> str:
    """Return "epoch 3/10", or "epoch 3" if the number of epochs is unknown; with `align`, of constant width."""
    epoch, epochs = str(trainer.current_epoch + 1), planned_epochs(trainer)
    if epochs is None:
        return f"epoch {epoch}"
    return f"epoch {epoch:>{len(str(epochs)) if align else 1}}/{epochs}"


def planned_epochs(trainer: L.Trainer) -> int | None:
    """Return the maximum number of epochs of a fit, from `on_fit_start` on; `None` if there is no limit."""
    limits = [trainer.max_epochs] if trainer.max_epochs and trainer.max_epochs > 0 else []
    if trainer.max_steps > 0:
        steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        limits.append(math.ceil(trainer.max_steps / steps))
    return min(limits, default=None)
