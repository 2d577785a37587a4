"""Lightning's training loop, extended by a validation of the final weights, exact resume and a synchronized stop."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LambdaCallback, ModelCheckpoint
from lightning.pytorch.loops import fit_loop
from lightning.pytorch.trainer import call
from torch.utils.data import DataLoader

from trainyard.callbacks.checkpoints import LastCheckpoint
from trainyard.callbacks.process_state import find_process_state
from trainyard.callbacks.random_state import (
    find_generators,
    get_generator_states,
    get_random_state,
    set_generator_states,
    set_random_state,
)
from trainyard.run.epoch_loop import EpochLoop, synchronize_stop
from trainyard.run.replay import ReplayableLoader, intercept_loaders, obstacle_to_resume

log = logging.getLogger(__name__)

# Lightning has no public way to replace its loops: these classes and hooks, and those of
# `trainyard.run.epoch_loop`, are private names.
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
        generators: the random generators of the model and of DataLoaders, of training and validation.
        searched: the validation loaders whose generators are among them.
        loader_states, generator_states: their states in the checkpoint, until the run has resumed.
        obstacle: why the run cannot resume inside an epoch; `None` if it can.
    """

    epoch_loop: EpochLoop

    def __init__(self, trainer: L.Trainer, restore_stop: bool = True) -> None:
        replaced = trainer.fit_loop
        super().__init__(trainer, replaced.min_epochs, replaced.max_epochs)
        self.epoch_loop = EpochLoop(trainer, replaced.min_steps, replaced.max_steps, restore_stop)
        self.loaders: list[Any] = []
        self.loaded_epoch = 0
        self.loader_states: list[Any] = []
        self.generators: list[Any] = []
        self.searched: Any = None
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
        replayed = (loader for loader in self.loaders if isinstance(loader, ReplayableLoader))
        persistent = any(loader.persistent_workers for loader in replayed)
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
            self.find_generators()

    def find_generators(self) -> None:
        """Find the random generators whose states are saved; stateful training loaders save their own."""
        owners: list[Any] = [own for own in self.loaders if isinstance(own, DataLoader | ReplayableLoader)]
        if self.trainer.world_size == 1:  # or all processes would get the state of rank 0
            owners.append(self.trainer.lightning_module)
        self.searched = self.trainer.val_dataloaders
        self.generators = find_generators([*owners, self.searched])

    def add_validation_generators(self) -> None:
        """Add the generators of loaders that were requested for this validation, with the states of the checkpoint."""
        if self.trainer.val_dataloaders is self.searched:
            return  # a search takes milliseconds
        known = len(self.generators)
        self.find_generators()
        set_generator_states(self.generators[known:], self.generator_states)
        self.generator_states = []

    def on_save_checkpoint(self) -> dict[str, Any]:
        validation = self.epoch_loop.val_loop
        states = validation.states_before if validation.is_interrupted else get_generator_states(self.generators)
        own = {"loaded_epoch": self.loaded_epoch, "generators": [*states, *self.generator_states]}
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
        self.find_generators()  # again: the loaders of the validation exist now
        if self.restarted_mid_epoch:
            start_epoch_again(self.trainer)
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
            self.restore_generators()
            iter(data_fetcher)
            return
        random_state = get_random_state(self.trainer.strategy.root_device)
        for loader, state in zip(stateful, states, strict=False):
            loader.load_state_dict(state)
        iter(data_fetcher)
        set_random_state(random_state, self.trainer.strategy.root_device)
        self.restore_generators()

    def restore_generators(self) -> None:
        """Restore the generators that exist, and keep the other states: see `add_validation_generators`."""
        set_generator_states(self.generators, self.generator_states)
        self.generator_states = self.generator_states[len(self.generators) :]

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
        loop.batches_that_stepped -= 1  # so that Lightning logs the scores at the last step
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
        loop.batches_that_stepped += 1
        loop.step_is_open = False
        for counter in finished:
            counter.completed += 1


def start_epoch_again(trainer: L.Trainer) -> None:
    """Call the user's hooks `on_train_epoch_start` in a resumed epoch: they may set what depends on the epoch."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    own = [callback for callback in callbacks if depends_on_epoch(callback)]
    model = LambdaCallback(on_train_epoch_start=lambda trainer, model: model.on_train_epoch_start())
    with unchanged_state(trainer, own):
        trainer.callbacks = [*own, model]  # type: ignore[attr-defined]
        call._call_callback_hooks(trainer, "on_train_epoch_start")
        trainer.callbacks = callbacks  # type: ignore[attr-defined]


@contextmanager
def unchanged_state(trainer: L.Trainer, callbacks: Sequence[L.Callback]) -> Iterator[None]:
    """After this context, restore what a checkpoint has restored: weights, optimizers, schedules and callbacks."""
    module = trainer.lightning_module
    tensors = [*module.parameters(), *module.buffers()]
    copies = [tensor.detach().clone() for tensor in tensors]
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    options = [{name: value for name, value in group.items() if name != "params"} for group in groups]
    owners: list[Any] = [*callbacks, *(config.scheduler for config in trainer.lr_scheduler_configs)]
    states = [copy.deepcopy(owner.state_dict()) for owner in owners]
    yield
    with torch.no_grad():
        for tensor, value in zip(tensors, copies, strict=True):
            tensor.copy_(value)
    for owner, state in zip(owners, states, strict=True):
        if state:
            owner.load_state_dict(state)
    for group, values in zip(groups, options, strict=True):
        group.update(values)


def depends_on_epoch(callback: L.Callback) -> bool:
    """Whether `on_train_epoch_start` of a callback is the user's, or only sets the accumulation of gradients.

    The other callbacks of Lightning and ours resume by themselves.
    """
    package = callback.on_train_epoch_start.__module__.partition(".")[0]
    return package not in ("lightning", "trainyard") or isinstance(callback, GradientAccumulationScheduler)
