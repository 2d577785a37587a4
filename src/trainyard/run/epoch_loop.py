"""The loops over the batches of an epoch and of a validation, which can be interrupted and resumed at any step."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.loops import evaluation_loop, training_epoch_loop
from lightning.pytorch.trainer.states import RunningStage, TrainerFn

from trainyard.callbacks.process_state import find_process_state
from trainyard.callbacks.protocols import ActsBetweenSteps
from trainyard.callbacks.random_state import get_generator_states
from trainyard.run.lean_step import LeanStep, find_obstacle

log = logging.getLogger(__name__)

# Private names of Lightning: see `trainyard.run.loops`.

LOGGED_STEP = "_batches_that_stepped"  # a key in Lightning's checkpoints


class EpochLoop(training_epoch_loop._TrainingEpochLoop):
    """Trains an epoch as Lightning does, and also validates after the last batch of the run.

    Attributes:
        validated_step: the optimizer step of the last complete validation, -1 before the first.
        step_is_open: whether Lightning still has to count the current step in `batches_that_stepped`.
        pending_update: the interval, `step` or `epoch`, after which ReduceLROnPlateau has not been stepped yet; or "".
    """

    val_loop: "ValidationLoop"

    def __init__(self, trainer: L.Trainer, min_steps: int | None, max_steps: int, restore_stop: bool) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.val_loop = ValidationLoop(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )
        self.validated_step = -1
        self.restore_stop = restore_stop
        self.pending_update = ""
        self.step_is_open = False
        self.step_callbacks: list[ActsBetweenSteps] = []
        self.data_fetcher: Any = None
        self.lean_step: LeanStep | None = None

    @property
    def batches_that_stepped(self) -> int:
        """The number of batches that made a step, which Lightning only shows in checkpoints; loggers use one less."""
        return int(super().on_save_checkpoint()[LOGGED_STEP])

    @batches_that_stepped.setter
    def batches_that_stepped(self, number: int) -> None:
        super().on_load_checkpoint({LOGGED_STEP: number})

    @property
    def logged_steps(self) -> int:
        """The number of steps for which values are logged, including the current one."""
        return self.batches_that_stepped + self.step_is_open

    def run(self, data_fetcher: Any) -> None:
        self.data_fetcher = data_fetcher
        callbacks: list[L.Callback] = self.trainer.callbacks
        self.step_callbacks = [callback for callback in callbacks if isinstance(callback, ActsBetweenSteps)]
        if self.is_resuming:
            self.trainer.fit_loop.resume_loaders(data_fetcher)
        if obstacle := find_obstacle(self.trainer):
            log.debug("training with Lightning's step, since %s", obstacle)
        self.lean_step = None if obstacle else LeanStep(self.trainer)
        super().run(data_fetcher)

    def advance(self, data_fetcher: Any) -> None:
        """Train one batch; then let callbacks save or exit, with all that was logged for the batch.

        The batch counts as incomplete, as in the hook `on_train_batch_end`, from which Lightning expects to be resumed.
        """
        self.step_is_open = True
        try:
            if self.lean_step is None or self.restarting:
                super().advance(data_fetcher)
            else:
                self.train_batch(self.lean_step, data_fetcher)
        except StopIteration:  # there was no batch
            self.step_is_open = False
            raise
        counters: list[Any] = [self.batch_progress.total, self.batch_progress.current]
        for counter in counters:
            counter.completed -= 1
        for callback in self.step_callbacks:
            callback.on_step_end(self.trainer)
        for counter in counters:
            counter.completed += 1

    def train_batch(self, step: LeanStep, data_fetcher: Any) -> None:
        """Train one batch, with the calls and counters of `advance`."""
        progress, logger_connector = self.batch_progress, self.trainer._logger_connector
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        index, outputs = self.batch_idx + 1, None
        progress.is_last_batch = data_fetcher.done
        batch = step.to_device(batch)
        progress.increment_ready()
        logger_connector.on_batch_start(batch)
        if batch is None:
            log.warning("a training loader returned None: the batch is skipped")
        else:
            step.call("on_train_batch_start", batch, index)
            progress.increment_started()
            outputs = step.run(batch, index, self.is_accumulating)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self.is_last_batch:
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        step.call("on_train_batch_end", outputs, batch, index)
        if self.logged:
            logger_connector.on_batch_end()
        progress.increment_completed()
        if self.logged:
            logger_connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: Any) -> None:
        super().on_advance_end(data_fetcher)
        self.step_is_open = False

    @property
    def logged(self) -> Any:
        """Lightning's collection of the values that were logged in this epoch."""
        return self._results

    @property
    def repeats_validation(self) -> bool:
        """Whether a validation must be repeated, since the checkpoint was saved during it."""
        progress = self.val_loop.batch_progress.current
        return self.restarting and progress.completed < progress.ready

    @property
    def done(self) -> bool:
        return super().done and not self.repeats_validation

    @property
    def is_last_batch(self) -> bool:
        """Whether this batch is the last of its epoch."""
        progress = self.batch_progress
        return progress.is_last_batch or progress.current.ready == self.trainer.num_training_batches

    @property
    def is_accumulating(self) -> bool:
        """Whether the gradient of this batch is accumulated with that of the next."""
        return self.batch_progress.current.ready % self.trainer.accumulate_grad_batches != 0 and not self.is_last_batch

    @property
    def is_between_steps(self) -> bool:
        """Whether a run can resume after this batch: no gradient is being accumulated, and no validation is due."""
        return self.obstacle is None and not (self.is_accumulating or self.is_last_batch or self.is_validation_due())

    @property
    def obstacle(self) -> str | None:
        """Why a run cannot resume after this batch, because of its loaders; `None` if it can."""
        return None if self.is_last_batch else self.trainer.fit_loop.obstacle

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
        return self.is_validation_due()

    def is_validation_due(self) -> bool:
        """Whether to validate after this batch; rank 0 decides where the interval is a time."""
        if not self.trainer.enable_validation:
            return False
        if self.is_last_batch_of_run() or self.repeats_validation:
            return True
        due = super()._should_check_val_fx(self.data_fetcher)
        by_time = self.trainer.val_check_batch is None
        return bool(self.trainer.strategy.broadcast(due)) if by_time else due

    def is_last_batch_of_run(self) -> bool:
        """Whether training ends after this batch."""
        fit, stop = self.trainer.fit_loop, self.trainer.should_stop
        epochs, limit = fit.epoch_progress.current.processed, fit.max_epochs
        if 0 <= self.max_steps <= self.global_step or (stop and self.may_stop_after(epochs)):
            return True
        if not self.is_last_batch:
            return False
        assert limit is not None
        return 0 <= limit <= epochs + 1 or (stop and self.may_stop_after(epochs + 1))

    def may_stop_after(self, epochs: int) -> bool:
        """Whether `min_epochs` and `min_steps` allow to stop after this number of epochs."""
        return epochs >= (self.trainer.fit_loop.min_epochs or 0) and self.global_step >= (self.min_steps or 0)

    def update_lr_schedulers(self, interval: str, update_plateau_schedulers: bool) -> None:
        """Step the schedulers of an interval, and record which ones follow after checkpoints may be saved."""
        super().update_lr_schedulers(interval, update_plateau_schedulers)
        if not update_plateau_schedulers:
            self.pending_update = "step"
        else:
            self.pending_update = "epoch" if interval == "step" and self.is_last_batch else ""

    def on_save_checkpoint(self) -> dict[str, Any]:
        own = {"validated_step": self.validated_step, "should_stop": self.trainer.should_stop}
        own |= {"pending_update": self.pending_update, "logged_steps": self.logged_steps}
        return {**super().on_save_checkpoint(), **own}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.validated_step = state_dict.get("validated_step", -1)
        self.pending_update = state_dict.get("pending_update", "")
        if self.restore_stop and state_dict.get("should_stop"):
            self.trainer.should_stop = True


class ValidationLoop(evaluation_loop._EvaluationLoop):
    """Validates as Lightning does, and records the step and the random state before it.

    Attributes:
        seen: the number of batches of each loader in all validations, the step of values that are logged in each batch.
        seen_before: the same, before the current validation.
        states_before: the states of the random generators of the fit loop, before the current validation.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: dict[int, int] = {}
        self.seen_before: dict[int, int] = {}
        self.states_before: list[Any] = []

    @property
    def is_interrupted(self) -> bool:
        """Whether a checkpoint that is saved now must repeat this validation."""
        progress = self.batch_progress.current
        return self.trainer.validating and progress.completed < progress.ready

    def reset(self) -> None:
        """Store the state of the process before the loaders draw random numbers."""
        process_state = find_process_state(self.trainer)
        if process_state and not self.trainer.sanity_checking:
            process_state.begin_validation(self.trainer)
        fit_loop: Any = self.trainer.fit_loop
        if not self.trainer.sanity_checking:
            fit_loop.add_validation_generators()
        self.states_before = get_generator_states(fit_loop.generators)
        seen = self._seen_batches_per_dataloader
        seen.update(self.seen)
        self.seen, self.seen_before = seen, dict(seen)
        super().reset()

    def on_save_checkpoint(self) -> dict[str, Any]:
        return {**super().on_save_checkpoint(), "seen": dict(self.seen_before if self.is_interrupted else self.seen)}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.seen = state_dict.get("seen", {})

    def on_run_end(self) -> list[Any]:
        """Record the step before callbacks save it."""
        if not self.trainer.sanity_checking:
            self.trainer.fit_loop.epoch_loop.validated_step = self.trainer.global_step
        logged = super().on_run_end()
        synchronize_stop(self.trainer)
        return logged


def synchronize_stop(trainer: L.Trainer) -> None:
    """Stop all processes if one requests it, or they would deadlock in the next collective operation."""
    trainer.should_stop = bool(trainer.strategy.reduce_boolean_decision(trainer.should_stop, all=False))


def logged_steps(checkpoint: Mapping[str, Any]) -> int:
    """Return the number of steps that were logged before a checkpoint; with several optimizers, each makes its own."""
    state = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]
    return int(state.get("logged_steps", checkpoint["global_step"]))
