"""Two processes that do the same at the same moment."""

import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

# What a script finds: `folder`; `arguments`; `wait()`, which returns when both have imported what they need; and
# `note(word)`, which adds a word to the notes of both and kills whoever writes the word of the number `die_at`.
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


def together(
    script: str, folder: Path, die_at: int, *arguments: object
) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Run a script in two processes; return what each printed, its errors and its exit code, sorted, and the notes."""
    command = [sys.executable, "-c", PREAMBLE + script, str(folder), str(die_at), *map(str, arguments)]
    children = [Popen(command, stdout=PIPE, stderr=PIPE, text=True) for _ in range(2)]
    deadline = time.monotonic() + 300
    while len(list(folder.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    (folder / "go").touch()
    outcomes = [(*child.communicate(timeout=300), child.returncode) for child in children]
    return sorted(outcomes), (folder / "notes").read_text().split()
