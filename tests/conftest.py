"""Fixtures of all tests."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig
from tensorboard.summary.writer import event_file_writer

from trainyard.cli.main import main
from trainyard.config.composition import compose

# As in an activated environment, so that messages name `python` and `trainyard`.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

Compose = Callable[..., DictConfig]


@pytest.fixture
def compose_run(tmp_path: Path) -> Compose:
    """Compose a run of a second in `tmp_path/run`."""

    def composed(*overrides: str, folder: str = "run") -> DictConfig:
        return compose([f"hydra.run.dir={tmp_path / folder}", "trainer.max_epochs=2", *overrides])

    return composed


@pytest.fixture(autouse=True, scope="session")
def temporary_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache data and features in a temporary folder instead of the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINYARD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def default_interrupt_handler() -> None:
    """Handle SIGINT also in a process that a shell has started in the background, where it is ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers, which Lightning and commands change."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def ordered_event_files() -> None:
    """Number the event files of TensorBoard with six digits.

    TensorBoard reads files of one process and second in the order of this number as text, in which 10 precedes 9. The
    runs of a test are short enough for that, and a resumed run would remove events of its own.
    """
    event_file_writer._global_uid = event_file_writer.AtomicCounter(100_000)


@pytest.fixture(autouse=True)
def closed_logs() -> Iterator[None]:
    """Assert that a test closes the log handlers of its runs."""
    before = list(logging.getLogger().handlers)
    yield
    remaining = [handler for handler in logging.getLogger().handlers if handler not in before]
    assert not remaining, "a run has not closed its log"


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run `trainyard COMMAND` in an empty folder; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trainyard", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run
