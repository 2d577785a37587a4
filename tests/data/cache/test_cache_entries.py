"""Cache entries are created once, by one process, completely or not at all."""

import logging
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from filelock import FileLock

from trainyard.data import cache as module
from trainyard.data.cache import load_or_create, lock_cache

# Holds a lock until standard input is closed.
HOLDER = """
import sys, time
from pathlib import Path
from trainyard.data.cache import lock_cache
with lock_cache(Path(sys.argv[1]), ".lock", ""):
    print("held", flush=True)
    sys.stdin.readline()
    time.sleep(0.3)
    (Path(sys.argv[1]) / "done").touch()
"""


def write(draft: Path) -> None:
    (draft / "text").write_text("whole")


def read(entry: Path) -> str:
    return (entry / "text").read_text()


def refuse(draft: Path) -> None:
    raise AssertionError("nothing is to be made")


def test_existing_entries_are_loaded(tmp_path: Path) -> None:
    assert load_or_create(tmp_path / "entry", write, read) == "whole"
    assert load_or_create(tmp_path / "entry", refuse, read) == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


@pytest.mark.parametrize("error", [OSError, ValueError, EOFError])
def test_damaged_entries_are_created_again(tmp_path: Path, error: type[Exception]) -> None:
    for folder in (tmp_path / "entry", tmp_path / "entry.draft"):
        folder.mkdir()
        (folder / "left").touch()

    def read_strictly(entry: Path) -> str:
        if (entry / "left").exists():
            raise error("damaged")
        return read(entry)

    assert load_or_create(tmp_path / "entry", write, read_strictly) == "whole"
    assert [path.name for path in tmp_path.rglob("*")] == ["entry", "text"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_failed_entries_are_removed(tmp_path: Path, error: type[BaseException]) -> None:
    def stop(draft: Path) -> None:
        write(draft)
        raise error

    with pytest.raises(error):
        load_or_create(tmp_path / "entry", stop, read)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_the_lock_is_released(cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None) -> None:
    made: list[FileLock] = []

    def remembered(path: Path) -> FileLock:
        made.append(FileLock(path))
        return made[-1]

    monkeypatch.setattr(module, "FileLock", remembered)
    try:
        with lock_cache(cache, ".lock", "") as folder:
            assert (folder, made[0].is_locked) == (cache, True)
            if error:
                raise error
    except ZeroDivisionError:
        pass
    assert not made[0].is_locked


def test_a_second_process_waits_for_the_lock(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    holder = Popen([sys.executable, "-c", HOLDER, str(cache)], stdin=PIPE, stdout=PIPE, text=True)
    assert holder.stdout.readline() == "held\n"

    class EndHolder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            holder.stdin.close()

    handler = EndHolder()
    module.log.addHandler(handler)
    try:
        with lock_cache(cache, ".lock", ""):
            assert (cache / "done").exists()
    finally:
        module.log.removeHandler(handler)
    assert caplog.messages == [f"waiting for another run that fills {cache}"]
    assert holder.wait(timeout=60) == 0
    holder.stdout.close()


def test_other_locks_do_not_wait_for_each_other(cache: Path) -> None:
    with lock_cache(cache, "a.lock", ""), lock_cache(cache, "b.lock", "") as folder:
        assert folder == cache


@pytest.mark.parametrize("cause", ["a file in the way", "no locks"])
def test_a_temporary_folder_replaces_an_unwritable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    nowhere, reason = tmp_path / "cache", "no locks here"
    if cause == "no locks":

        def refuse(*_: object, **__: object) -> None:
            raise NotImplementedError(reason)

        monkeypatch.setattr(FileLock, "acquire", refuse)
    else:
        nowhere, reason = tmp_path / "file" / "cache", "Not a directory"
        (tmp_path / "file").touch()
    with lock_cache(nowhere, ".lock", "nothing is kept") as folder:
        assert load_or_create(folder / "entry", write, read) == "whole"
    assert not folder.exists()
    assert caplog.record_tuples == [
        ("trainyard.data.cache", logging.WARNING, f"{nowhere} cannot be written ({reason}): nothing is kept")
    ]
