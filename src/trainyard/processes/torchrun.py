"""What torchrun says of itself to the processes that it starts, and starts again."""

import os
from pathlib import Path


def run_name(own: str) -> str:
    """Return the name of a run's directory: that of the torchrun command, which all its processes share, or `own`.

    It is `--rdzv-id`, so that the same command goes on there; where none is given, a name that no other command has.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return own
    if name == "none":  # the folder of the command's error files: none_RANDOM/attempt_N/RANK/error.json
        name = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[2].name.removeprefix("none_")
    return f"torchrun-{name}"


def go_on(run: Path) -> None:
    """Forget how the run ended when its processes are started again: that was no end.

    Each process does, before the first of them writes: all go on from the same checkpoint.
    """
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")):
        (run / "result.json").unlink(missing_ok=True)
