"""The progress of a run: a bar on a terminal, otherwise one line per epoch; and the curves of its scores."""

import logging
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, LearningRateMonitor, ProgressBar
from rich.console import Group
from rich.text import Text

from trainyard.callbacks.protocols import ScoresTraining, count_examples
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.objective import metric_name
from trainyard.terminal.display import Display
from trainyard.terminal.formats import format_duration, format_score

log = logging.getLogger(__name__)

MAX_SCORES = 6  # in a line
WINDOW = 25  # redraws, at least five seconds, over which the examples per second are averaged


class ProgressReporter(ProgressBar):
    """Logs the scores of each epoch, and shows a bar on a terminal; `EpochReport` tells it when an epoch has ended.

    Args:
        scores: of the last validation.

    Attributes:
        curves: the values of each score by epoch, including those before a resume, without epochs that were not
            validated.
        validation: scores of the last validation in this epoch; empty before it.
        reported: the optimizer step of the last report, -1 before the first, `None` before training starts.
    """

    state_key = "ProgressReporter"

    def __init__(self, scores: ValidationScores) -> None:
        super().__init__()
        self.scores = scores
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
        display = TrainingDisplay(trainer, pl_module, self.scores)
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
        self.validation = dict(self.scores.latest)
        if self.training is not None:
            self.training.validated_epoch = trainer.current_epoch + 1
        if self.reported in (None, trainer.global_step):  # after the last epoch
            self.report("final weights", self.validation)

    def report_epoch(self, trainer: L.Trainer) -> None:
        """Report the scores of the epoch that has ended."""
        if self.reported not in (None, trainer.global_step):
            self.report(epoch_label(trainer), training_scores(trainer, self.scores) | self.validation)
            self.reported = trainer.global_step

    def report(self, label: str, scores: Mapping[str, float]) -> None:
        """Add scores to the curves, and log them; "-" stands for a missing score."""
        for name, value in scores.items():
            self.curves.setdefault(name, []).append(value)
        if self.enabled:
            names = select_scores([*self.curves], self.scores.objective)
            text = "  ".join(
                f"{name} {format_score(scores[name])}" if name in scores else f"{name} -" for name in names
            )
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


class EpochReport(Checkpoint):
    """Reports an epoch after the model's own `on_train_epoch_end`, and before a checkpoint is saved.

    Lightning calls only callbacks of this base class, and early stopping, after the model.
    """

    def __init__(self, reporter: ProgressReporter) -> None:
        self.reporter = reporter

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.reporter.report_epoch(trainer)


class TrainingDisplay(Display):
    """A bar with throughput and remaining time, and below it the scores of this epoch and of the last validation.

    Attributes:
        examples: number of training examples in this process since the display was opened.
        validated_epoch: the epoch of the last validation.
    """

    def __init__(self, trainer: L.Trainer, model: L.LightningModule, validation: ValidationScores) -> None:
        super().__init__()
        self.trainer, self.model, self.validation = trainer, model, validation
        self.examples = 0
        self.started, self.first_share = time.monotonic(), self.share
        self.validated_epoch: int | None = None
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
        """Return the training scores and the objective of the last validation, with its epoch if it is earlier."""
        if isinstance(self.model, ScoresTraining):
            training = self.model.training_scores()
        else:
            training = training_scores(self.trainer, self.validation)
        text = "  ".join(f"{name} {format_score(training[name])}" for name in select_scores([*training]))
        objective = self.validation.objective
        if objective not in self.validation.latest:
            return text
        epoch = self.validated_epoch
        earlier = f" (ep. {epoch})" if epoch and epoch != self.trainer.current_epoch + 1 else ""
        return f"{text}  {objective} {format_score(self.validation.latest[objective])}{earlier}"


def training_scores(trainer: L.Trainer, validation: ValidationScores) -> dict[str, float]:
    """Return the scalars that the model has logged in training, by name, without learning rates."""
    metrics = trainer.callback_metrics
    monitors = [c for c in trainer.callbacks if isinstance(c, LearningRateMonitor)]  # type: ignore[attr-defined]
    others = {*validation.latest, *(name for monitor in monitors for name in monitor.lrs)}
    return {name: float(value) for name, value in metrics.items() if name not in others}


def select_scores(names: Sequence[str], objective: str = "") -> list[str]:
    """Return at most `MAX_SCORES` names: training before validation, losses first, and always the objective.

    The losses and the objective in training and validation precede other metrics, of which those of the validation
    precede those of the training.

    A metric that is logged for both steps and epochs has three names, of which one is returned.
    """
    known = {*names}
    single = [n for n in names if n == objective or not known & {f"{n}_epoch", n.removesuffix("_step")} - {n}]
    ordered = sorted(single, key=lambda name: (not name.startswith("train"), "loss" not in name))
    metric = metric_name(objective)
    important = sorted(
        (name for name in ordered if name != objective),
        key=lambda name: (metric_name(name) not in ("loss", metric), name.startswith("train")),
    )
    chosen = {objective, *important[: MAX_SCORES - (objective in names)]}
    return [name for name in ordered if name in chosen]


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
