"""Installs Trainyard into fresh environments and uses it there; needs a network.

`make extras` checks each extra, and `make pythons` other versions of Python that are installed. It prints the seconds
that installing and each use took, or the end of the output of what failed.
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
USES = {
    "wandb": [f"{TRAIN} logger=wandb"],
    "mlflow": [f"{TRAIN} logger=mlflow"],
    "slurm": [f"{TRAIN} -m hydra/launcher=submitit_local seed=0,1"],
    "ray": [f"{TRAIN} -m hydra/launcher=ray seed=0,1"],
    "export": [TRAIN, "trainyard export latest --format onnx"],
    "browser": ["python -c 'import playwright.sync_api'"],
    "docs": [f"python -m mkdocs build --strict -q -f {PROJECT}/mkdocs.yml -d $PWD/site"],
}
NO_EXTRA = [TRAIN, f"{TRAIN} -m seed=0,1", "trainyard evaluate latest", "trainyard runs list", "trainyard --version"]
OFFLINE = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}


def check(python: str, extra: str, folder: Path) -> tuple[bool, str]:
    """Install into an environment of a Python in an empty folder and use it; return success and a line about it."""
    path = os.pathsep.join([str(folder / "env" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, **OFFLINE, "PATH": path}
    project = f"{PROJECT}[{extra}]" if extra else str(PROJECT)
    prepare = [f"{python} -m venv env", f"python -m pip install -q -c {PROJECT}/constraints.txt '{project}'"]
    name, seconds = f"{python} {extra}".strip(), []
    for command in (*prepare, *(USES[extra] if extra else NO_EXTRA)):
        started = time.monotonic()
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        done = subprocess.run(command, shell=True, cwd=folder, env=environment, **output)  # type: ignore[call-overload]
        seconds.append(f"{time.monotonic() - started:.0f}")
        if done.returncode:
            lines = done.stdout.splitlines()[-15:]
            return False, "\n".join([f"{name}: {command} ends with {done.returncode}", *lines])
    return True, f"{name}: installed in {seconds[1]} s, used in {', '.join(seconds[2:])} s"


def main() -> None:
    """Check all combinations of the arguments; exit with 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help=f"{', '.join(USES)}; none without")
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="commands of Python interpreters")
    chosen, well = parser.parse_args(), True
    for python in chosen.python:
        for extra in chosen.extras or [""]:
            with tempfile.TemporaryDirectory() as folder:
                success, line = check(python, extra, Path(folder))
            print(line, flush=True)
            well = well and success
    sys.exit(not well)


if __name__ == "__main__":
    main()
