"""Runs a script in two processes at the same time."""

import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

# Defines for the script: `folder`; `arguments`; `wait()`, which returns when both processes have imported all modules;
# and `note(word)`, which appends a word to a shared log and kills the process that writes word number `die_at`.
PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
folder, die_at, *arguments = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
def wait():
    (folder / f"ready{os.getpid()}").touch()
    while not (folder / "go").exists(): time.sleep(0.001)
def note(word):
    with open(folder / "notes", "a") as notes: print(word, file=notes)
    if len((folder / "notes").read_text().split()) == die_at: os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
"""
KILLED = ("", "", -9)


def run_twice_at_once(
    script: str, folder: Path, die_at: int, *arguments: object
) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Run a script in two processes; return the sorted (stdout, stderr, exit code) of each, and the shared log."""
    command = [sys.executable, "-c", PREAMBLE + script, str(folder), str(die_at), *map(str, arguments)]
    children = [Popen(command, stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)]
    deadline = time.monotonic() + 300
    while len(list(folder.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / "go").touch()
    outcomes = [(*child.communicate(timeout=300), child.returncode) for child in children]
    return sorted(outcomes), (folder / "notes").read_text().split()
