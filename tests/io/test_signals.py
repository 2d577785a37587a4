"""Signals: deferred to the end of a step, obeyed at once where none comes, and handed to whoever wants them."""

import os
import pickle
import signal
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.loggers import CSVLogger

from tests.conftest import Compose
from tests.run.interrupted_runs import COMMON, Stop, checkpoint
from trainyard.callbacks import graceful_stop
from trainyard.callbacks.checkpoint_files import is_intact
from trainyard.io import signals as signals_module
from trainyard.io.signals import Interrupted, Signals
from trainyard.run.training import train


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_outside_of_training_raises_at_once(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as end, Signals():
        send(number)
    assert end.value.code == 128 + number
    assert signal.getsignal(number) == before


def test_ctrl_c_raises_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), Signals():
        send(signal.SIGINT)


def test_signal_is_deferred_and_second_ctrl_c_is_not() -> None:
    with Signals() as signals:
        signals.defer(True)
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert signals.caught == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_workers_ignore_signals_and_end_some_seconds_after_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_module, "CHILD_SECONDS", 0.05)
    with Signals() as signals:
        if (child := os.fork()) == 0:
            try:
                for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
                    send(number)
                if signals.first is None:
                    signal.pause()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGALRM


def test_handlers_are_reinstalled_after_lightning() -> None:
    with Signals() as signals:
        signal.signal(signal.SIGTERM, lambda *_: None)  # as Lightning does
        signals.defer(True)
        send(signal.SIGTERM)
        assert signals.caught == signal.SIGTERM


def test_previous_handler_is_called_after_saving() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: got.append(number))  # as submitit does
    try:
        with Signals() as signals:
            signals.defer(True)
            send(signal.SIGUSR2)
            assert not got
            with pytest.raises(Interrupted):
                signals.leave(signals.caught)
        assert got == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_ignored_signal_is_not_handled() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of a process in a shell's background
    try:
        with Signals() as signals:
            assert signal.SIGINT not in signals.before
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_signals_can_be_pickled() -> None:
    with Signals() as signals:
        there = pickle.loads(pickle.dumps(signals))
    assert there.before.keys() == signals.before.keys()


class Impatient(L.Callback):
    """Presses Ctrl-C twice while a checkpoint is being made."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict) -> None:
        if trainer.global_step == 7:
            send(signal.SIGINT)


def test_second_ctrl_c_damages_no_checkpoint(compose_run: Compose, tmp_path: Path) -> None:
    Stop.at = ("train", 1, 1)
    slow = [f"+callbacks.impatient._target_={__name__}.Impatient", "checkpoint.every_steps=2"]
    with pytest.raises((KeyboardInterrupt, SystemExit)) as end:
        train(compose_run(*COMMON, *slow))
    assert isinstance(end.value, SystemExit)
    assert end.value.code == 130
    folder = tmp_path / "run"
    assert is_intact(folder / "checkpoints" / "last.ckpt")
    assert checkpoint(folder, "last.ckpt")["global_step"] in (6, 7)
    assert '"status": "interrupted"' in (folder / "result.json").read_text()


def test_slurm_job_is_requeued(compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def note(command: list[str], check: bool) -> None:
        asked.append(command)
        assert is_intact(tmp_path / "run" / "checkpoints" / "last.ckpt"), "all is saved by then"

    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setattr(graceful_stop.subprocess, "run", note)
    monkeypatch.setattr(Stop, "how", signal.SIGUSR1)
    Stop.at = ("train", 1, 1)
    with pytest.raises(Interrupted) as end:
        train(compose_run(*COMMON))
    assert end.value.code == 138
    assert asked == [["scontrol", "requeue", "4711"]]


class Broken(CSVLogger):
    """Fails when a run has failed."""

    def finalize(self, status: str) -> None:
        raise OSError("the disk of the logs is gone")


def test_checkpoint_is_written_when_a_logger_fails(compose_run: Compose, tmp_path: Path) -> None:
    Stop.at = ("train", 1, 1)
    broken = [f"+logger.broken._target_={__name__}.Broken", f"+logger.broken.save_dir={tmp_path}", "logger=csv"]
    with pytest.raises((OSError, SystemExit)):
        train(compose_run(*COMMON, *broken))
    assert checkpoint(tmp_path / "run", "last.ckpt")["global_step"] == 7
    assert checkpoint(tmp_path / "run", "best.ckpt")["global_step"] == 5
