"""An exported file in a process of its own, as whoever gets it would use it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

CODE = """\
import sys
import numpy as np
import torch
path, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
{load}
with torch.no_grad():
    for number in range(count):
        x = torch.from_numpy(np.load(f"{{folder}}/{{number}}.npy"))
        np.save(f"{{folder}}/out{{number}}.npy", model(x).numpy())
"""


def run_fresh(load: str, path: Path, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what a model makes of inputs in a new process.

    Args:
        load: Python that makes `model` of the file `path`.
        path: of the file.
        inputs: batches.

    Raises:
        RuntimeError: the process failed; the last line that it said.
    """
    with TemporaryDirectory() as folder:
        for number, x in enumerate(inputs):
            np.save(f"{folder}/{number}.npy", x.numpy())
        words = [sys.executable, "-c", CODE.format(load=load), str(path.absolute()), folder, str(len(inputs))]
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
        return [torch.from_numpy(np.load(f"{folder}/out{number}.npy")) for number in range(len(inputs))]
