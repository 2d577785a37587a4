"""The directory of a run: what is written at its start, and its result however it ends."""

import logging
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from trainyard.callbacks.checkpoint_files import PREVIOUS, newest_intact, set_damaged_aside
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import check_own_files, relative, remove_stale_drafts, write_json
from trainyard.io.resources import TRY_AGAIN, describe_full_disk, is_disk_full
from trainyard.io.signals import Signals
from trainyard.run.directory_check import check_run_directory
from trainyard.run.run_directory import (
    BROUGHT,
    DONE,
    LOG,
    RESULT,
    check_places,
    check_resumable,
    lock,
    move_aside,
    point_to_latest,
    read_result,
    remove_replaced,
    write_config,
)
from trainyard.run.run_ending import ending, interruption
from trainyard.run.summary import partial_results
from trainyard.terminal.invocation import train_command
from trainyard.terminal.logs import close_log, open_log

log = logging.getLogger(__name__)

WAIT = "another directory, or wait until it has ended"


@dataclass
class Run:
    """A run in its directory; a context manager that writes `result.json` with the run's status when it ends.

    Attributes:
        dir: the run's directory; `.hydra/` may be there already.
        started: when, in seconds of `time.monotonic`.
        first: whether this is the process of rank 0; the others write warnings to the log and nothing else.
        training: whether training has begun; an earlier ConfigError leaves no trace.
        result: what `result.json` will hold beside the status.
        fresh: whether nothing lay in the directory.
        goes_on: whether the same run was stopped there, and is taken up.
        resumed: whether it was named as the one to go on with.
        pruned: whether it was stopped since others of its sweep did better.
        lock: which keeps other processes out of the directory.
        signals: that end it.
        replaces: whether another run lies there, which stays until this one begins.
        changes: whether its config does, likewise.
    """

    dir: Path
    first: bool = True
    started: float = field(default_factory=time.monotonic)
    training: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    handlers: list[logging.Handler] = field(default_factory=list)
    fresh: bool = False
    goes_on: bool = False
    resumed: bool = False
    replaces: bool = False
    changes: bool = False
    pruned: bool = False
    lock: FileLock | None = None
    signals: Signals = field(default_factory=Signals)

    @classmethod
    def start(cls, cfg: DictConfig, resume: bool = False) -> "Run":
        """Make the directory and open the log; in a new directory, write config, overrides and provenance.

        Args:
            cfg: of the run.
            resume: go on from its last checkpoint, whatever ended it, and if the config is another now.

        Raises:
            ConfigError: the directory cannot be written, or its results would be lost.
        """
        first = getattr(rank_zero_only, "rank", 0) == 0  # by the environment
        run = cls(Path(cfg.run.dir), first, resumed=resume)
        if run.first:
            check_places(run.dir)
            run.write_start(cfg)
        else:
            run.look(cfg)
        run.handlers = open_log(run.dir / LOG, run.first)
        return run

    def look(self, cfg: DictConfig) -> None:
        """See what an earlier run left in the directory, which each of several processes does."""
        file = self.dir / "config.yaml"
        earlier = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        same = earlier == OmegaConf.to_yaml(cfg)
        self.goes_on = (same or self.resumed) and self.stopped_at() is not None
        self.replaces = bool(earlier) and not self.goes_on
        self.changes = bool(earlier) and not same

    def write_start(self, cfg: DictConfig) -> None:
        """Make the directory; what an earlier run left in it stays until it is known that this one can begin."""
        if not self.resumed:
            check_run_directory(self.dir)
        try:
            self.dir.mkdir(parents=True, exist_ok=True)
            check_own_files("hydra.run.dir", self.dir)
            if self.resumed:
                check_resumable(self.dir)
            self.lock = lock(self.dir, config_error("hydra.run.dir", self.dir, "another process trains there", WAIT))
            remove_stale_drafts(self.dir, depth=1)
            self.fresh = {path.name for path in self.dir.iterdir()} <= BROUGHT
            self.look(cfg)
            if not (self.replaces or self.changes or self.goes_on):
                write_config(self.dir, cfg)
        except OSError as error:
            if self.fresh:  # nothing can resume a run without its config
                self.discard()
            if is_disk_full(error):
                raise config_error("hydra.run.dir", self.dir, describe_full_disk(self.dir), TRY_AGAIN) from error
            problem = f"cannot be written ({error.strerror})"
            raise config_error("hydra.run.dir", self.dir, problem, "a folder that you may write to") from error

    @property
    def last_checkpoint(self) -> Path | None:
        """What this run goes on from."""
        return self.stopped_at() if self.goes_on else None

    def stopped_at(self) -> Path | None:
        """Return the last intact checkpoint of a run that was stopped here, or that is to go on whatever ended it."""
        stopped = read_result(self.dir).get("status") in (None, "interrupted")
        return newest_intact(self.dir / "checkpoints") if stopped or self.resumed else None

    def __enter__(self) -> "Run":
        self.signals.__enter__()
        return self

    def begin_training(self, cfg: DictConfig) -> None:
        """Say that all that was typed fits together; from here on the run leaves a result, whatever happens."""
        self.training = True
        if self.first:
            set_damaged_aside(self.dir / "checkpoints")
        if self.first and self.replaces and (aside := move_aside(self.dir)):
            log.info("the files of the earlier run are in %s until this run is complete", relative(aside))
        if self.first and (self.replaces or self.changes):
            write_config(self.dir, cfg)
        if self.first:
            point_to_latest(self.dir)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signals.defer(True)  # until all is written
        interrupted = interruption(error, self.signals.first)
        try:
            if isinstance(error, ConfigError) and not self.training:
                return
            if isinstance(interrupted, KeyboardInterrupt | SystemExit):
                log.warning("interrupted; %s", partial_results(self.dir))
            elif is_disk_full(error):
                remedy = f"free some space, then resume with: {train_command(f'resume={relative(self.dir)}')}"
                log.error(
                    "stopped: %s in %s\n%s", describe_full_disk(self.dir), relative(self.dir), remedy, exc_info=error
                )
            elif error is not None:
                log.error("the run failed; %s", partial_results(self.dir), exc_info=error)
            if self.first and (self.training or read_result(self.dir).get("status") not in DONE):
                self.write_result(interrupted)
        finally:
            self.signals.__exit__(kind, error, trace)
            close_log(self.handlers)
            if isinstance(error, ConfigError) and not self.training:
                self.discard()
            if self.lock is not None:
                self.lock.release()
        if interrupted is not None and interrupted is not error:
            raise interrupted from error
        if self.signals.caught and error is None:
            self.signals.leave(self.signals.caught)

    def write_result(self, error: BaseException | None) -> None:
        """Write `result.json`; its status tells a failure from an interruption."""
        state, reason = ending(error, self.pruned)
        seconds = round(time.monotonic() - self.started, 3)
        try:
            write_json(self.dir / RESULT, {"status": state, **self.result, "seconds": seconds, "error": reason})
        except OSError as problem:
            lost = config_error("hydra.run.dir", self.dir, f"result.json cannot be written ({problem.strerror})")
            if error is None:
                raise lost from problem
            log.error("%s", lost)
        if error is None:
            (self.dir / "checkpoints" / PREVIOUS).unlink(missing_ok=True)
            remove_replaced(self.dir)

    def discard(self) -> None:
        """Remove a directory that this run made, as if it had not been started; never one that held anything before."""
        if self.first and self.fresh:
            shutil.rmtree(self.dir, ignore_errors=True)
