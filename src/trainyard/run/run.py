"""The lifetime of a run in its directory: the files written at its start, and `result.json` at its end."""

import logging
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from trainyard.callbacks.checkpoint_files import PREVIOUS, newest_intact, set_damaged_aside
from trainyard.config.objective import AUTO
from trainyard.config.task_option import adopt_task
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import relative, remove_stale_drafts, write_json, write_text
from trainyard.io.resources import TRY_AGAIN, describe_full_disk, is_disk_full
from trainyard.io.signals import Interrupted, Signals
from trainyard.run.directory_check import check_directory
from trainyard.run.run_directory import (
    DONE,
    LOG,
    MADE_BEFORE,
    REPLACED,
    RESULT,
    lock,
    move_aside,
    point_to_latest,
    read_config,
    read_result,
    write_config,
)
from trainyard.run.summary import describe_partial_results
from trainyard.run.threads import record_threads
from trainyard.terminal.invocation import train_command
from trainyard.terminal.logs import close_log, open_log

log = logging.getLogger(__name__)


@dataclass
class Run:
    """A run in its directory; a context manager that writes `result.json` when the run ends.

    Files of an earlier run in the same directory are not changed before `begin_training`.

    Attributes:
        dir: the run's directory.
        is_rank_zero: whether this process writes the files; others only log warnings.
        started: start time in seconds of `time.monotonic`.
        began: whether training has begun; a ConfigError before that removes a new directory.
        result: the content of `result.json`, without seconds and error.
        handlers: of its log.
        new_directory: whether the directory was empty.
        resume_checkpoint: the checkpoint from which training resumes; `None` to start at step 0.
        has_earlier_run: whether the directory contains the config of an earlier run.
        config_changed: whether that config differs from the present one.
        lock: keeps other processes out of the directory.
        signals: handlers of the signals that end the run.
    """

    dir: Path
    is_rank_zero: bool = True
    started: float = field(default_factory=time.monotonic)
    began: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    handlers: list[logging.Handler] = field(default_factory=list)
    new_directory: bool = False
    resume_checkpoint: Path | None = None
    has_earlier_run: bool = False
    config_changed: bool = False
    lock: FileLock | None = None
    signals: Signals = field(default_factory=Signals)

    @classmethod
    def start(cls, cfg: DictConfig, resume: bool = False) -> "Run":
        """Create the directory and open the log; in a new directory, write config, overrides and provenance.

        With `resume`, a completed or failed run is resumed too, or one with another config.

        Raises:
            ConfigError: the directory cannot be written, or its results would be lost.
        """
        run = cls(Path(cfg.run.dir), is_rank_zero=getattr(rank_zero_only, "rank", 0) == 0)
        if run.is_rank_zero:
            run.prepare_directory(cfg, resume)
        else:
            run.find_earlier_run(cfg, resume)
        run.handlers = open_log(run.dir / LOG, run.is_rank_zero)
        return run

    def prepare_directory(self, cfg: DictConfig, resume: bool) -> None:
        """Create and lock the directory; write the config if it has none."""
        accepted = "another directory, or wait until it has ended"
        locked = config_error("hydra.run.dir", self.dir, "another process trains there", accepted)
        try:
            check_directory(self.dir, resume)
            self.dir.mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.dir, locked)
            remove_stale_drafts(self.dir, depth=1)
            self.new_directory = {path.name for path in self.dir.iterdir()} <= MADE_BEFORE
            self.find_earlier_run(cfg, resume)
            if not self.has_earlier_run:
                write_config(self.dir, cfg)
        except OSError as error:
            if self.new_directory:  # without a config, the run cannot be resumed
                self.discard()
            if is_disk_full(error):
                raise config_error("hydra.run.dir", self.dir, describe_full_disk(self.dir), TRY_AGAIN) from error
            problem = f"cannot be written ({error.strerror})"
            raise config_error("hydra.run.dir", self.dir, problem, "a folder that you may write to") from error

    def find_earlier_run(self, cfg: DictConfig, resume: bool) -> None:
        """Find the config of an earlier run in the directory, and the checkpoint to resume from."""
        file = self.dir / "config.yaml"
        earlier = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        self.has_earlier_run = bool(earlier)
        if earlier:
            stored = read_config(self.dir)
            adopt_task(cfg, stored)
            adopt_precision(cfg, stored)
        self.config_changed = self.has_earlier_run and earlier != OmegaConf.to_yaml(cfg)
        unfinished = read_result(self.dir).get("status") in (None, "interrupted") and not self.config_changed
        if resume or (self.has_earlier_run and unfinished):
            self.resume_checkpoint = newest_intact(self.dir / "checkpoints")

    def __enter__(self) -> "Run":
        self.signals.__enter__()
        return self

    def begin_training(self, cfg: DictConfig) -> None:
        """Replace an earlier run; from here on, the run writes a result however it ends."""
        self.began = True
        if not self.is_rank_zero:
            return
        set_damaged_aside(self.dir / "checkpoints")
        replaced = self.has_earlier_run and self.resume_checkpoint is None
        if replaced and (aside := move_aside(self.dir)):
            log.info("the files of the earlier run are in %s until this run is complete", relative(aside))
        if replaced or self.config_changed:
            write_config(self.dir, cfg)
        else:
            write_text(self.dir / "config.yaml", OmegaConf.to_yaml(cfg))  # with the chosen task and precision
        if self.resume_checkpoint is None:
            record_threads(self.dir)
        point_to_latest(self.dir)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signals.defer(True)  # until everything is written
        rejected = isinstance(error, ConfigError) and not self.began
        ending = find_cause(error, self.signals.first)
        try:
            if not rejected:
                self.log_ending(error, ending)
                replaces_result = self.began or read_result(self.dir).get("status") not in DONE
                if self.is_rank_zero and replaces_result:
                    self.write_result(ending)
        finally:
            self.signals.__exit__(kind, error, trace)
            close_log(self.handlers)
            if rejected:
                self.discard()
            if self.lock is not None:
                self.lock.release()
        if ending is not None and ending is not error:
            raise ending from error
        if self.signals.caught and error is None:
            self.signals.leave(self.signals.caught)

    def log_ending(self, error: BaseException | None, ending: BaseException | None) -> None:
        """Log why the run ended early, and how to resume it."""
        if isinstance(ending, KeyboardInterrupt | SystemExit):
            log.warning("interrupted; %s", describe_partial_results(self.dir))
        elif is_disk_full(error):
            remedy = f"free some space, then resume with: {train_command(f'resume={relative(self.dir)}')}"
            problem = f"{describe_full_disk(self.dir)} in {relative(self.dir)}"
            log.error("stopped: %s\n%s", problem, remedy, exc_info=error)
        elif error is not None:
            log.error("the run failed; %s", describe_partial_results(self.dir), exc_info=error)

    def write_result(self, error: BaseException | None) -> None:
        """Write `result.json`, with the status that follows from the error that ended the run."""
        content = {"status": "completed", **self.result}
        content |= {"seconds": round(time.monotonic() - self.started, 3), "error": None}
        if isinstance(error, KeyboardInterrupt | SystemExit):
            content["status"] = "interrupted"
        elif error is not None:  # a run resumes when a full disk has space again
            content["status"] = "interrupted" if is_disk_full(error) else "failed"
            content["error"] = f"{type(error).__name__}: {error}"
        try:
            write_json(self.dir / RESULT, content)
        except OSError as problem:
            lost = config_error("hydra.run.dir", self.dir, f"result.json cannot be written ({problem.strerror})")
            if error is None:
                raise lost from problem
            log.error("%s", lost)
        if error is None:
            (self.dir / "checkpoints" / PREVIOUS).unlink(missing_ok=True)
            shutil.rmtree(self.dir / REPLACED, ignore_errors=True)

    def discard(self) -> None:
        """Remove the directory if this run created it; never one with other files."""
        if self.is_rank_zero and self.new_directory:
            shutil.rmtree(self.dir, ignore_errors=True)


def adopt_precision(cfg: DictConfig, stored: Mapping[str, Any]) -> None:
    """Replace `auto` by the precision in the stored config of the run that `cfg` resumes."""
    trainer = stored.get("trainer")
    if cfg.get("trainer", {}).get("precision") == AUTO and isinstance(trainer, Mapping):
        cfg.trainer.precision = trainer.get("precision", AUTO)


def find_cause(error: BaseException | None, signum: int | None) -> BaseException | None:
    """Return `Interrupted` if a signal ended the run, even if a library raised another error because of it.

    Otherwise return the error. Lightning exits with code 1 at a Ctrl-C, and a worker process that the signal has ended
    causes a RuntimeError.
    """
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        return Interrupted(signum or signal.SIGINT)
    if isinstance(error, Exception) and signum:
        return Interrupted(signum)
    return error
