"""Lightning's training loop, extended by a validation of the final weights, exact resume and a synchronized stop."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loops import evaluation_loop, fit_loop, training_epoch_loop
from lightning.pytorch.trainer.states import RunningStage, TrainerFn

from trainyard.callbacks.checkpoints import LastCheckpoint

# Lightning has no public way to replace its loops: these three classes and the hooks below are private names.
# tests/run/test_run_length.py and tests/run/test_exact_resume.py fail if one of them disappears or changes.


class FitLoop(fit_loop._FitLoop):
    """Trains as Lightning does, and validates the final weights if the last step was not validated.

    Args:
        trainer: the trainer whose loop is replaced; its limits are copied.
        restore_stop: whether a resumed run still obeys a stop that early stopping or `max_time` requested before the
            checkpoint.
    """

    epoch_loop: "EpochLoop"

    def __init__(self, trainer: L.Trainer, restore_stop: bool = True) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer, replaced.min_steps, replaced.max_steps, restore_stop)

    @property
    def done(self) -> bool:
        return super().done and not self.epoch_loop.repeats_validation

    def _iteration_based_training(self) -> bool:
        return False  # with `max_steps`, Lightning would repeat the epoch that a checkpoint has completed

    def run(self) -> None:
        """Train; a run that is resumed beyond its limits is only validated."""
        self.synchronize_start()
        self.setup_data()
        if self.skip:
            self.validate_final_weights()
        super().run()

    def synchronize_start(self) -> None:
        """Raise a RuntimeError if processes start at different steps, which would deadlock; rank 0 decides to stop."""
        trainer, step = self.trainer, self.epoch_loop.global_step
        first, trainer.should_stop = trainer.strategy.broadcast((step, trainer.should_stop))
        if step != first:
            text = f"rank {trainer.global_rank} resumed after step {step}, rank 0 after step {first}"
            raise RuntimeError(f"{text}: the run's directory must be on a file system that all processes share")

    def on_run_start(self) -> None:
        """Load the state of the data loader, which Lightning does too early: before it loads the checkpoint."""
        self._load_combined_loader_states()
        super().on_run_start()

    def on_advance_end(self) -> None:
        super().on_advance_end()
        synchronize_stop(self.trainer)

    def on_run_end(self) -> None:
        """Validate the final weights before the callbacks' `on_train_end`."""
        self.validate_final_weights()
        super().on_run_end()

    def validate_final_weights(self) -> None:
        """Validate and save, unless the last step was validated.

        Usually it was, since `EpochLoop` knows the last batch in advance; but not if a callback stopped the run at the
        end of an epoch without validation, or if the run was resumed with lower limits.
        """
        trainer, loop, epochs = self.trainer, self.epoch_loop, self.epoch_progress
        if not trainer.enable_validation or loop.validated_step == loop.global_step:
            return
        self.restarting = False
        counters: list[Any] = [epochs.total, epochs.current]
        finished = [counter for counter in counters if counter.ready == counter.processed == counter.completed]
        loop.logged_step -= 1  # so that Lightning logs the scores at the last step
        for counter in finished:
            counter.completed -= 1  # and in the last epoch
        trainer.validating = True
        loop.val_loop.run()
        trainer.training = True
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint):
                callback.save(trainer)
            elif isinstance(callback, ModelCheckpoint):  # it may save at the end of an epoch only
                callback.on_train_epoch_end(trainer, trainer.lightning_module)
        loop.logged_step += 1
        for counter in finished:
            counter.completed += 1


class EpochLoop(training_epoch_loop._TrainingEpochLoop):
    """Trains an epoch as Lightning does, and also validates after the last batch of the run.

    Attributes:
        validated_step: the optimizer step of the last complete validation, -1 before the first.
    """

    def __init__(self, trainer: L.Trainer, min_steps: int | None, max_steps: int, restore_stop: bool) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.val_loop = ValidationLoop(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )
        self.validated_step = -1
        self.restore_stop = restore_stop
        self.data_fetcher: Any = None

    @property
    def logged_step(self) -> int:
        """The number of batches that made a step, of which Lightning has no public counter; loggers use one less."""
        return self._batches_that_stepped

    @logged_step.setter
    def logged_step(self, number: int) -> None:
        self._batches_that_stepped = number

    def run(self, data_fetcher: Any) -> None:
        self.data_fetcher = data_fetcher
        super().run(data_fetcher)

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
        return not (self.is_accumulating or self.is_last_batch or self.is_validation_due())

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

    def on_save_checkpoint(self) -> dict[str, Any]:
        stop = {"validated_step": self.validated_step, "should_stop": self.trainer.should_stop}
        return {**super().on_save_checkpoint(), **stop}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.validated_step = state_dict.get("validated_step", -1)
        if self.restore_stop and state_dict.get("should_stop"):
            self.trainer.should_stop = True


class ValidationLoop(evaluation_loop._EvaluationLoop):
    """Validates as Lightning does, and records the step."""

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
