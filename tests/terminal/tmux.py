"""Types into tmux and captures its screen."""

import re
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).parents[2]


class Tmux:
    """A shell in a terminal; a context manager.

    Args:
        folder: in which the shell starts.
        columns: of the terminal.
        environment: set for what is typed, beside one thread for torch.
    """

    def __init__(self, folder: Path, columns: int, **environment: str) -> None:
        self.socket = f"trainyard-{uuid.uuid4().hex[:8]}"  # a separate tmux server
        self.folder, self.columns = folder, columns
        self.environment = {"OMP_NUM_THREADS": "1", "PS1": "$ ", "PYTHONPATH": str(REPOSITORY), **environment}

    def __enter__(self) -> "Tmux":
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        size = ["-x", str(self.columns), "-y", "30"]
        self.call("-f", "/dev/null", "new-session", "-d", *size, "-c", str(self.folder),
                  shlex.join(["env", *variables, "bash", "--norc"]))  # fmt: skip
        self.until(r"^\$ ?$")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call("kill-server")

    def call(self, *arguments: str) -> str:
        """Run a tmux command and return its output."""
        command = ["tmux", "-L", self.socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    def train(self, *overrides: str, pipe: str = "") -> None:
        """Type the command that trains, optionally with a pipe that reads its output."""
        command = shlex.join([sys.executable, str(REPOSITORY / "train.py"), *overrides])
        self.type(f"{command} | {pipe}" if pipe else command)

    def type(self, line: str) -> None:
        """Clear the screen, type a line, press enter, and wait until the prompt disappears."""
        self.call("send-keys", "-l", f"clear; {line}")
        self.call("send-keys", "Enter")
        self.gone(r"^\$ ?(clear.*)?$")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.call("send-keys", "C-c")

    def screen(self, colours: bool = False) -> str:
        """Return the visible lines without empty ones at the end, optionally with color codes."""
        return self.call("capture-pane", "-p", *(["-e"] if colours else [])).rstrip()

    def until(self, pattern: str, seconds: float = 300.0) -> str:
        """Wait until the screen shows a pattern, and return the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, screen := self.screen(), re.MULTILINE):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{pattern} was not seen in {seconds:.0f} s, but\n{self.screen()}")

    def gone(self, pattern: str) -> None:
        """Wait until the screen no longer shows a pattern."""
        end = time.monotonic() + 300
        while re.search(pattern, self.screen(), re.MULTILINE):
            assert time.monotonic() < end, self.screen()
            time.sleep(0.05)

    @property
    def cursor(self) -> bool:
        """Whether the cursor is visible."""
        return self.call("display-message", "-p", "#{cursor_flag}").strip() == "1"
