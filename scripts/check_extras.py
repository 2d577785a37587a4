"""Installs each extra into a fresh environment and uses it: `python scripts/check_extras.py [EXTRA ...]`.

It prints the seconds that installing and using took, or the end of the output of what failed. Needs network.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
QUICK = "model=mlp model.hidden_dims=[8] trainer.max_epochs=1 callbacks=none accelerator=cpu"
TRAIN = f"python -m trainyard {QUICK}"
USES = {
    "wandb": [f"{TRAIN} logger=wandb"],
    "mlflow": [f"{TRAIN} logger=mlflow"],
    "slurm": [f"{TRAIN} -m hydra/launcher=submitit_local seed=0,1"],
    "ray": [f"{TRAIN} -m hydra/launcher=ray seed=0,1"],
    "export": [TRAIN, "python -m trainyard export latest --format onnx"],
    "browser": ["python -c 'import playwright.sync_api'"],
    "docs": [f"python -m mkdocs build --strict -q -f {PROJECT}/mkdocs.yml -d site"],
}
OFFLINE = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "NO_MKDOCS_2_WARNING": "1"}


def check(extra: str, folder: Path) -> str:
    """Install an extra into an environment in an empty folder, use it, and return a line about it."""
    venv.create(folder / "env", with_pip=True)
    path = os.pathsep.join([str(folder / "env" / "bin"), os.environ["PATH"]])
    environment = {**os.environ, **OFFLINE, "PATH": path}
    constraints = PROJECT / "constraints.txt"
    install = f"python -m pip install -q -c {constraints} '{PROJECT}[{extra}]'"
    seconds = []
    for command in (install, *USES[extra]):
        started = time.monotonic()
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds.append(f"{time.monotonic() - started:.0f} s")
        if done.returncode:
            return f"{extra}: {command} ends with {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-15:])
    return f"{extra}: installed in {seconds[0]}, used in {', '.join(seconds[1:])}"


def main() -> None:
    """Check the extras in the arguments, or all of them; exit with 1 if one fails."""
    failed = False
    for extra in sys.argv[1:] or USES:
        with tempfile.TemporaryDirectory() as folder:
            line = check(extra, Path(folder))
        print(line, flush=True)
        failed = failed or "ends with" in line
    sys.exit(failed)


if __name__ == "__main__":
    main()
