"""Commands for messages, as the user can type them in the shell that started this process."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def train_command(*words: str) -> str:
    """Return a command that trains: `python train.py WORDS` if this process was started so, else `trainyard WORDS`."""
    script = Path(sys.argv[0])
    if script.name == "train.py":
        return shlex.join([*interpreter(), sys.argv[0], *words])
    return command(*words)


def command(*words: str) -> str:
    """Return the command `trainyard WORDS`; where the shell does not find `trainyard`, `python -m trainyard WORDS`."""
    installed = on_path("trainyard")
    return shlex.join([*(["trainyard"] if installed else [*interpreter(), "-m", "trainyard"]), *words])


def interpreter() -> list[str]:
    """Return the shortest word that starts this process's Python in the current folder."""
    for name in ("python", "python3"):
        if on_path(name):
            return [name]
    path = Path(sys.executable)
    return [os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)]


def on_path(name: str) -> bool:
    """Return whether the shell finds a command in the environment of this process's Python."""
    found = shutil.which(name)
    return found is not None and Path(found).absolute().parent == Path(sys.executable).parent
