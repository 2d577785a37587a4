"""A stored config trained once more, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import OmegaConf

PATIENCE = 20  # seconds that a process which is told to end has for it

# It has to suit the code of any commit, so it takes what has been there from the first on.
SCRIPT = """\
import sys
import torch
from omegaconf import OmegaConf
from trainyard.training import train
try:
    from trainyard.cli.error_reports import report_errors
except ImportError:
    from trainyard.cli import short_errors as report_errors

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    with report_errors():
        train(OmegaConf.load(sys.argv[1]))
"""


def rerun(config: Mapping[str, Any], code: Path | None, directory: Path, threads: int) -> int:
    """Train a config with the same interpreter, and return the exit code; what it says goes to the screen.

    Args:
        config: resolved.
        code: a checkout whose code is to run; `None` for the installed package.
        directory: in which relative paths of the config hold.
        threads: of the processor.
    """
    with TemporaryDirectory(prefix="trainyard-") as temporary:
        script, file = Path(temporary) / "rerun.py", Path(temporary) / "config.yaml"
        script.write_text(SCRIPT, encoding="utf-8")
        file.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), encoding="utf-8")
        places = [str(code / "src"), str(code)] if code else []
        own = [str(Path(place).absolute()) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
        path = os.pathsep.join([*places, *own])  # absolute: the process works in a folder that the run names
        sys.stdout.flush()  # before what the process says
        process = subprocess.Popen(
            [sys.executable, str(script), str(file), str(threads)],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": path},
        )
        try:
            return process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C, or this process is told to end
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
                process.kill()
                process.wait()
