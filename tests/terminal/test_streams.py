"""Standard output and error that are closed, on a full disk, or a pipe without a reader."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.run.test_interruptions import REPOSITORY, TINY

PRINT = """
import sys
from trainyard.cli.process import command

with command(sys.argv[1] == "required"):
    print("a")
    sys.stdout.flush()
    print("b")
    open("done", "w").close()
    if sys.argv[2:]:
        sys.exit(int(sys.argv[2]))
"""
REASONS = {"closed": "Bad file descriptor", "full": "No space left on device", "pipe": "Broken pipe"}


@contextmanager
def stream(kind: str) -> Iterator[int]:
    """Yield a file descriptor that cannot be written."""
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        end, descriptor = os.pipe()
        os.close(end)
    yield descriptor
    os.close(descriptor)


def run(folder: Path, kind: str, words: Sequence[str], other: str = "") -> tuple[int, str, str]:
    """Run Python with a kind of standard output, and optionally of standard error."""
    closes = "".join([" >&-" * (kind == "closed"), " 2>&-" * (other == "closed")])
    with stream(kind) as out, stream("full") as full:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@"{closes}', "sh", sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
            stdout=out if kind != "read" else subprocess.PIPE,
            stderr=full if other == "full" else subprocess.PIPE,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.skipif(os.name != "posix", reason="the shell of POSIX closes streams")
@pytest.mark.parametrize("kind", REASONS)
def test_exit_code_when_output_is_lost(tmp_path: Path, kind: str) -> None:
    said = "" if kind == "pipe" else f"stdout cannot be written ({REASONS[kind]})\n"
    for words in ((), ("0",)):
        assert run(tmp_path, kind, ["-c", PRINT, "required", *words]) == (1, "", said)
        assert not (tmp_path / "done").exists(), "it stops at the first print"
    assert run(tmp_path, kind, ["-c", PRINT, "required"], "full") == (1, "", "")
    assert run(tmp_path, kind, ["-c", PRINT, "required"], "closed") == (1, "", "")


@pytest.mark.parametrize("kind", REASONS)
def test_help_when_output_is_lost(tmp_path: Path, kind: str) -> None:
    line = f"stdout cannot be written ({REASONS[kind]}): the run continues, see its run.log\n"
    said = "" if kind == "closed" else line
    assert run(tmp_path, kind, ["-c", PRINT, "optional"]) == (0, "", said)
    assert (tmp_path / "done").exists()
    assert run(tmp_path, kind, ["-c", PRINT, "optional", "3"], "closed") == (3, "", "")


@pytest.mark.parametrize("other", ["closed", "full"])
def test_exit_code_when_error_stream_is_lost(tmp_path: Path, other: str) -> None:
    assert run(tmp_path, "read", ["-m", "trainyard", "model=mlpp"], other) == (1, "", "")


def test_closed_stream_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    opens = (
        "import os; from trainyard.cli.process import command\nwith command(False): print(os.open('file', os.O_CREAT))"
    )
    assert run(tmp_path, "closed", ["-c", opens]) == (0, "", "")
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("kind", ["full", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("closed", "pipe"))])
@pytest.mark.parametrize("words", [(), pytest.param(("accelerator=ddp_cpu",), marks=pytest.mark.slow)])
def test_run_continues_when_output_is_lost(tmp_path: Path, kind: str, words: tuple[str, ...]) -> None:
    code, _, errors = run(tmp_path, kind, ["-m", "trainyard", *TINY, *words])
    assert code == 0, errors
    assert len(errors.splitlines()) <= 1
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "completed"
    assert "epoch 2/2" in (tmp_path / "run" / "run.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("kind", REASONS)
def test_sweep_continues_when_output_is_lost(tmp_path: Path, kind: str) -> None:
    words = ["-m", "trainyard", "-m", *TINY[:-1], "seed=0,1", "sweep.name=mine"]
    code, _, errors = run(tmp_path, kind, words)
    assert code == 0, errors
    assert len(errors.splitlines()) <= 1
    assert (tmp_path / "outputs" / "sweeps" / "mine" / "leaderboard.csv").read_text().count("completed") == 1


COMMANDS = {
    "runs": ("list",),
    "leaderboard": ("mine",),
    "evaluate": ("mine/0",),
    "predict": ("mine/0", "a.csv"),
    "export": ("mine/0", "--format", "safetensors"),
    "show": ("schedule",),
    "find": ("lr", "--steps", "10"),
    "draw": ("curves", "mine/0"),
}


@pytest.mark.slow
def test_every_command_reports_lost_output(tmp_path: Path) -> None:
    columns = "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex"
    (tmp_path / "a.csv").write_text(f"{columns}\nDream,1,2,3,4,\n")
    sweep = ["-m", "trainyard", "-m", *TINY[:-1], "data=penguins", "seed=0,1", "sweep.name=mine"]
    assert run(tmp_path, "read", sweep)[0] == 0
    for name, words in COMMANDS.items():
        command = ["-m", "trainyard", name, *words]
        code, screen, errors = run(tmp_path, "read", command)
        assert (code, bool(screen)) == (0, True), errors
        for kind, reason in REASONS.items():
            code, _, errors = run(tmp_path, kind, command)
            assert (name, code) == (name, 1)
            assert errors == ("" if kind == "pipe" else f"stdout cannot be written ({reason})\n"), name
