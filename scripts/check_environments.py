"""Install Trainyard into new environments and run commands there; needs network access.

`make extras` checks each extra, and `make pythons` other installed versions of Python. Prints the seconds of the
installation and of each command, or the last output lines of a failed command.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
QUICK = "model=mlp model.hidden_dims=[8] trainer.max_epochs=1 callbacks=none accelerator=cpu"
TRAIN = f"trainyard {QUICK}"
COMMANDS = {
    "wandb": [f"{TRAIN} logger=wandb"],
    "mlflow": [f"{TRAIN} logger=mlflow"],
    "slurm": [f"{TRAIN} -m hydra/launcher=submitit_local seed=0,1"],
    "ray": [f"{TRAIN} -m hydra/launcher=ray seed=0,1"],
    "export": [TRAIN, "trainyard export latest --format onnx"],
    "browser": ["python -c 'import playwright.sync_api'"],
    "docs": [f"python -m mkdocs build --strict -q -f {PROJECT}/mkdocs.yml -d $PWD/site"],
}
DEFAULT_COMMANDS = [
    TRAIN,
    f"{TRAIN} -m seed=0,1",
    "trainyard evaluate latest",
    "trainyard runs list",
    "trainyard --version",
]
OFFLINE = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}


def check(python: str, extra: str, folder: Path) -> tuple[bool, str]:
    """Install into a new environment in an empty folder and run the commands; return success and a message."""
    path = os.pathsep.join([str(folder / "env" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, **OFFLINE, "PATH": path}
    project = f"{PROJECT}[{extra}]" if extra else str(PROJECT)
    setup = [f"{python} -m venv env", f"python -m pip install -q -c {PROJECT}/constraints.txt '{project}'"]
    name, seconds = f"{python} {extra}".strip(), []
    for command in (*setup, *(COMMANDS[extra] if extra else DEFAULT_COMMANDS)):
        started = time.monotonic()
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, **output)  # type: ignore[call-overload]
        seconds.append(f"{time.monotonic() - started:.0f}")
        if done.returncode:
            lines = done.stdout.splitlines()[-15:]
            return False, "\n".join([f"{name}: {command} exits with {done.returncode}", *lines])
    return True, f"{name}: installed in {seconds[1]} s, commands took {', '.join(seconds[2:])} s"


def main() -> None:
    """Check all combinations of the arguments; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"{', '.join(COMMANDS)}; default: no extra")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="commands of Python interpreters")
    args = parser.parse_args()
    failed = False
    for python in args.python:
        for extra in args.extras or [""]:
            with tempfile.TemporaryDirectory() as folder:
                success, message = check(python, extra, Path(folder))
            print(message, flush=True)
            failed = failed or not success
    sys.exit(failed)


if __name__ == "__main__":
    main()
