"""Lightning's training loop, changed so that every run ends with one validation of its final weights."""

from typing import Any

import lightning as L
from lightning.pytorch.loops.evaluation_loop import _EvaluationLoop
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.trainer.states import RunningStage, TrainerFn

from trainyard.callbacks.checkpoints import LastCheckpoint


class FitLoop(_FitLoop):
    """Trains as Lightning does, and validates the final weights if the last step was not validated.

    Args:
        trainer: whose loop it replaces; the limits stay.
        restore_stop: whether a stop that was requested before the checkpoint (by early stopping, by time) still holds
            when training resumes.
    """

    epoch_loop: "EpochLoop"

    def __init__(self, trainer: L.Trainer, restore_stop: bool = True) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer, replaced.min_steps, replaced.max_steps, restore_stop)

    @property
    def done(self) -> bool:
        """Whether to leave the loop; not before an interrupted validation is repeated."""
        return super().done and not self.epoch_loop.repeats_validation

    def _iteration_based_training(self) -> bool:
        # Lightning restarts a finished epoch after a checkpoint of a run with `max_steps`
        return False

    def run(self) -> None:
        """Train; a run that was resumed beyond its limits only validates what it has.

        Raises:
            RuntimeError: the processes have resumed from different checkpoints.
        """
        self.follow_first_process()
        self.setup_data()
        if self.skip:
            self.validate_final_weights()
        super().run()

    def follow_first_process(self) -> None:
        """See that all processes begin at the same step, and stop where the first does: each has read the disk itself.

        Different steps would have the processes wait for each other without end.
        """
        trainer, step = self.trainer, self.epoch_loop.global_step
        first, trainer.should_stop = trainer.strategy.broadcast((step, trainer.should_stop))
        if step != first:
            text = f"rank {trainer.global_rank} resumed after step {step}, rank 0 after step {first}"
            raise RuntimeError(f"{text}: the run's directory must be on a file system that all processes share")

    def on_advance_end(self) -> None:
        """End the epoch; a stop that a callback has requested on one process holds for all."""
        super().on_advance_end()
        agree_on_stop(self.trainer)

    def on_run_end(self) -> None:
        """Validate before callbacks end their work."""
        self.validate_final_weights()
        super().on_run_end()

    def validate_final_weights(self) -> None:
        """Validate, and save, unless the last step was validated.

        In most runs it was: `EpochLoop` knows the last batch in advance. It does not if a callback requests the stop
        at the end of an epoch without validation, or if the limits were lowered when the run was resumed.
        """
        trainer, loop, epochs = self.trainer, self.epoch_loop, self.epoch_progress
        if not trainer.enable_validation or loop.validated_step == loop.global_step:
            return
        self.restarting = False
        both: list[Any] = [epochs.total, epochs.current]
        counts = [count for count in both if count.ready == count.processed == count.completed]
        loop._batches_that_stepped -= 1  # to log it at the last step
        for count in counts:
            count.completed -= 1  # and in the last epoch
        trainer.validating = True
        loop.val_loop.run()
        trainer.training = True
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, LastCheckpoint):
                callback.save(trainer)
            else:  # which may wait for the end of the epoch
                callback.on_train_epoch_end(trainer, trainer.lightning_module)
        loop._batches_that_stepped += 1
        for count in counts:
            count.completed += 1


class EpochLoop(_TrainingEpochLoop):
    """Trains an epoch as Lightning does; validates after the last batch of the run too.

    Attributes:
        validated_step: the optimizer step after which the last validation was completed, -1 before the first.

    Args:
        trainer: that trains.
        min_steps, max_steps: of the run.
        restore_stop: as in `FitLoop`.
    """

    def __init__(self, trainer: L.Trainer, min_steps: int | None, max_steps: int, restore_stop: bool) -> None:
        super().__init__(trainer, min_steps, max_steps)
        self.val_loop = ValidationLoop(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )
        self.validated_step = -1
        self.restore_stop = restore_stop
        self.decided = (-1, False)

    @property
    def repeats_validation(self) -> bool:
        """Whether the checkpoint was saved in the middle of a validation, which has to be repeated."""
        progress = self.val_loop.batch_progress.current
        return self.restarting and progress.completed < progress.ready

    @property
    def done(self) -> bool:
        """Whether to leave the epoch; not before an interrupted validation is repeated."""
        return super().done and not self.repeats_validation

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
        if not self.trainer.enable_validation:
            return False
        if self.is_last_batch_of_run() or self.repeats_validation:
            return True
        if self.trainer._val_check_time_interval is None:
            return super()._should_check_val_fx(data_fetcher)
        batch = self.batch_progress.total.ready
        if self.decided[0] != batch:  # the clock of the first process decides, once a batch
            due = super()._should_check_val_fx(data_fetcher)
            self.decided = batch, bool(self.trainer.strategy.broadcast(due))
        return self.decided[1]

    def is_last_batch_of_run(self) -> bool:
        """Whether training ends after this batch."""
        fit, stops = self.trainer.fit_loop, self.trainer.should_stop
        if 0 <= self.max_steps <= self.global_step or (stops and fit._can_stop_early):
            return True
        if not self._num_ready_batches_reached():
            return False
        epochs, limit = fit.epoch_progress.current.processed + 1, fit.max_epochs
        assert limit is not None
        may_stop = epochs >= (fit.min_epochs or 0) and self.global_step >= (self.min_steps or 0)
        return 0 <= limit <= epochs or (stops and may_stop)

    def on_save_checkpoint(self) -> dict[str, Any]:
        """Add what Lightning forgets: the last validation, and whether a stop is requested."""
        stop = {"validated_step": self.validated_step, "should_stop": self.trainer.should_stop}
        return {**super().on_save_checkpoint(), **stop}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        """Restore both."""
        super().on_load_checkpoint(state_dict)
        self.validated_step = state_dict.get("validated_step", -1)
        if self.restore_stop and state_dict.get("should_stop"):
            self.trainer.should_stop = True


class ValidationLoop(_EvaluationLoop):
    """Validates as Lightning does, and notes the step."""

    def on_run_end(self) -> list[Any]:
        """Note the step before callbacks save it."""
        if not self.trainer.sanity_checking:
            self.trainer.fit_loop.epoch_loop.validated_step = self.trainer.global_step
        logged = super().on_run_end()
        agree_on_stop(self.trainer)
        return logged


def agree_on_stop(trainer: L.Trainer) -> None:
    """Have a stop that is requested on one process hold for all, as each decides by it which collective comes next."""
    trainer.should_stop = bool(trainer.strategy.reduce_boolean_decision(trainer.should_stop, all=False))
