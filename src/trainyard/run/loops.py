"""Lightning's training loop, extended by a validation of the final weights, exact resume and a synchronized stop."""

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loops import evaluation_loop, fit_loop, training_epoch_loop
from lightning.pytorch.trainer.states import RunningStage, TrainerFn

from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.callbacks.process_state import find_process_state, get_random_state, pack_random_state, set_random_state
from trainyard.callbacks.protocols import ActsBetweenSteps
from trainyard.run.replay import (
    ReplayableLoader,
    find_generators,
    get_generator_states,
    intercept_loaders,
    obstacle_to_resume,
    set_generator_states,
)

log = logging.getLogger(__name__)

# Lightning has no public way to replace its loops: these three classes and the hooks below are private names.
# tests/run/test_run_length.py and tests/run/test_exact_resume.py fail if one of them disappears or changes.


class FitLoop(fit_loop._FitLoop):
    """Trains as Lightning does, and validates the final weights if the last step was not validated.

    Args:
        trainer: the trainer whose loop is replaced; its limits are copied.
        restore_stop: whether a resumed run still obeys a stop that early stopping or `max_time` requested before the
            checkpoint.

    Attributes:
        loaders: the training loaders.
        loaded_epoch: the epoch in which they were requested.
        generators: the random generators of the loaders, their samplers and data sets.
        loader_states, generator_states: their states in the checkpoint, until the run has resumed.
        obstacle: why the run cannot resume inside an epoch; `None` if it can.
    """

    epoch_loop: "EpochLoop"

    def __init__(self, trainer: L.Trainer, restore_stop: bool = True) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer, replaced.min_steps, replaced.max_steps, restore_stop)
        self.loaders: list[Any] = []
        self.loaded_epoch = 0
        self.loader_states: list[Any] = []
        self.generators: list[Any] = []
        self.generator_states: list[Any] = []
        self.obstacle: str | None = None

    @property
    def done(self) -> bool:
        return super().done and not self.epoch_loop.repeats_validation

    def _iteration_based_training(self) -> bool:
        return False  # with `max_steps`, Lightning would repeat the epoch that a checkpoint has completed

    def run(self) -> None:
        """Train; a run that is resumed beyond its limits is only validated."""
        self.synchronize_start()
        counter = self.epoch_progress.current
        epoch, counter.completed = counter.completed, self.loaded_epoch  # when the next loaders are due depends on it
        self.setup_data()
        counter.completed = epoch
        self.log_limits()
        try:
            if self.skip:
                self.validate_final_weights()
            super().run()
        finally:
            if self.trainer.validating:  # an error: Lightning only ends the workers of the validation
                self.teardown()

    def log_limits(self) -> None:
        """Log what a resumed run cannot restore."""
        persistent = [loader for loader in self.loaders if getattr(loader, "persistent_workers", False)]
        if self.obstacle and self.trainer.is_global_zero:
            log.info("resuming: from the end of the last epoch, because %s", self.obstacle)
        elif persistent and self.is_resuming:
            log.info("resuming: with the same order, but persistent workers draw other random numbers")

    def synchronize_start(self) -> None:
        """Raise a RuntimeError if processes start at different steps, which would deadlock; rank 0 decides to stop."""
        trainer, step = self.trainer, self.epoch_loop.global_step
        first, trainer.should_stop = trainer.strategy.broadcast((step, trainer.should_stop))
        if step != first:
            text = f"rank {trainer.global_rank} resumed after step {step}, rank 0 after step {first}"
            raise RuntimeError(f"{text}: the run's directory must be on a file system that all processes share")

    def setup_data(self) -> None:
        """Request the training loaders; wrap those that can be replayed."""
        loaders: list[Any] = []

        def process(loader: Any) -> Any:
            trainer, obstacle = self.trainer, obstacle_to_resume(loader, self.trainer.world_size)
            if obstacle is None and not hasattr(loader, "state_dict"):
                loader = ReplayableLoader(loader, trainer.strategy.root_device)
            loaders.append(loader)
            return loader

        with intercept_loaders(self.trainer.strategy, process):
            super().setup_data()
        if loaders:
            self.loaders, self.loaded_epoch = loaders, self.trainer.current_epoch
            reasons = (obstacle_to_resume(loader, self.trainer.world_size) for loader in loaders)
            self.obstacle = next(filter(None, reasons), None)
            self.generators = find_generators(loaders)

    def on_save_checkpoint(self) -> dict[str, Any]:
        own = {"loaded_epoch": self.loaded_epoch, "generators": get_generator_states(self.generators)}
        return {**super().on_save_checkpoint(), **own}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        """Store the states of the loaders, which Lightning would load too early: before the random state."""
        self.loader_states = state_dict.get("combined_loader", [])
        self.generator_states = state_dict.get("generators", [])
        self.loaded_epoch = state_dict.get("loaded_epoch", 0)
        super().on_load_checkpoint({**state_dict, "combined_loader": []})

    def on_run_start(self) -> None:
        """Restore the state of this process after all hooks of the start, which may draw numbers or reset metrics."""
        super().on_run_start()
        if process_state := find_process_state(self.trainer):
            process_state.restore(self.trainer)
        if not self.restarting:
            self.epoch_loop.logged.reset()  # as Lightning does at the end of an epoch
        self.step_plateau_schedulers()

    def step_plateau_schedulers(self) -> None:
        """Step ReduceLROnPlateau, as Lightning has done after the checkpoint was saved."""
        loop, counter = self.epoch_loop, self.epoch_progress.current
        if loop.pending_update and not loop.repeats_validation:
            ended = loop.pending_update == "epoch"
            counter.completed -= ended  # the step belongs to the epoch that has ended
            loop.update_lr_schedulers(loop.pending_update, update_plateau_schedulers=True)
            counter.completed += ended

    def resume_loaders(self, data_fetcher: Any) -> None:
        """Restore the states of the loaders and create their iterators again, which `setup_data` created before.

        Iterators draw random numbers. Those of the next epoch draw from the restored state of the generators, while
        those inside an epoch have drawn before it was saved.
        """
        states, self.loader_states = self.loader_states, []
        stateful = [loader for loader in self.loaders if hasattr(loader, "state_dict")]
        if states and len(states) != len(stateful):
            log.warning("the training loaders differ from those of the checkpoint: the order of the examples changes")
            return
        if not self.epoch_loop.restarting:
            set_generator_states(self.generators, self.generator_states)
            iter(data_fetcher)
            return
        random_state = pack_random_state(get_random_state(self.trainer.strategy.root_device))
        for loader, state in zip(stateful, states, strict=False):
            loader.load_state_dict(state)
        iter(data_fetcher)
        set_random_state(random_state, self.trainer.strategy.root_device)
        set_generator_states(self.generators, self.generator_states)

    def on_advance_end(self) -> None:
        self.restarting = False  # or Lightning would not step ReduceLROnPlateau, since it does not restore metrics
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
        loop.step_is_open = True
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
        loop.step_is_open = False
        for counter in finished:
            counter.completed += 1


class EpochLoop(training_epoch_loop._TrainingEpochLoop):
    """Trains an epoch as Lightning does, and also validates after the last batch of the run.

    Attributes:
        validated_step: the optimizer step of the last complete validation, -1 before the first.
        step_is_open: whether Lightning still has to count the current step in `logged_step`.
        pending_update: the interval, `step` or `epoch`, after which ReduceLROnPlateau has not been stepped yet; or "".
    """

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

    @property
    def logged_step(self) -> int:
        """The number of batches that made a step, of which Lightning has no public counter; loggers use one less."""
        return self._batches_that_stepped

    @logged_step.setter
    def logged_step(self, number: int) -> None:
        self._batches_that_stepped = number

    def run(self, data_fetcher: Any) -> None:
        self.data_fetcher = data_fetcher
        callbacks: list[L.Callback] = self.trainer.callbacks
        self.step_callbacks = [callback for callback in callbacks if isinstance(callback, ActsBetweenSteps)]
        if self.is_resuming:
            self.trainer.fit_loop.resume_loaders(data_fetcher)
        super().run(data_fetcher)

    def advance(self, data_fetcher: Any) -> None:
        """Train one batch; then let callbacks save or exit, with all that was logged for the batch.

        The batch counts as incomplete, as in the hook `on_train_batch_end`, from which Lightning expects to be resumed.
        """
        super().advance(data_fetcher)
        self.step_is_open = True
        counters: list[Any] = [self.batch_progress.total, self.batch_progress.current]
        for counter in counters:
            counter.completed -= 1
        for callback in self.step_callbacks:
            callback.on_step_end(self.trainer)
        for counter in counters:
            counter.completed += 1

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
        own |= {"pending_update": self.pending_update, "logged_steps": self.logged_step + self.step_is_open}
        return {**super().on_save_checkpoint(), **own}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self.validated_step = state_dict.get("validated_step", -1)
        self.pending_update = state_dict.get("pending_update", "")
        if self.restore_stop and state_dict.get("should_stop"):
            self.trainer.should_stop = True


class ValidationLoop(evaluation_loop._EvaluationLoop):
    """Validates as Lightning does, and records the step and the random state before it."""

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
        super().reset()

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
