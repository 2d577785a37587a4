"""A terminal as a person has it before them: tmux, typed into and captured."""

import re
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).parents[1]


class Tmux:
    """A shell in a terminal of so many columns; a context manager.

    Args:
        folder: in which the shell starts.
        columns: of the terminal.
        environment: set for what is typed, beside one thread for torch.
    """

    def __init__(self, folder: Path, columns: int, **environment: str) -> None:
        self.socket = f"trainyard-{uuid.uuid4().hex[:8]}"  # a server of its own, whatever else runs in tmux here
        self.folder, self.columns = folder, columns
        self.environment = {"OMP_NUM_THREADS": "1", "PS1": "$ ", **environment}

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
        """Run a command of tmux and return what it says."""
        command = ["tmux", "-L", self.socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    def train(self, *overrides: str) -> None:
        """Type the command that trains."""
        self.type(shlex.join([sys.executable, str(REPOSITORY / "train.py"), *overrides]))

    def type(self, line: str) -> None:
        """Clear the screen, type a line, and press enter."""
        self.call("send-keys", f"clear; {line}", "Enter")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.call("send-keys", "C-c")

    def screen(self, colours: bool = False) -> str:
        """Return the lines that are seen now, without empty ones at the end; with escapes where colours are asked."""
        return self.call("capture-pane", "-p", *(["-e"] if colours else [])).rstrip()

    def until(self, pattern: str, seconds: float = 60.0) -> str:
        """Wait until the screen shows a pattern, and return the screen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, screen := self.screen(), re.MULTILINE):
                return screen
            time.sleep(0.1)
        raise AssertionError(f"{pattern} was not seen in {seconds:.0f} s, but\n{self.screen()}")

    @property
    def cursor(self) -> bool:
        """Whether the cursor is visible."""
        return self.call("display-message", "-p", "#{cursor_flag}").strip() == "1"
