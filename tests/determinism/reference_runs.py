"""What tiny runs find, for comparison with what they found before: `reference_runs.yaml`.

A change that is meant to change numbers rewrites the file, and says so in its commit:
`OMP_NUM_THREADS=1 python -m tests.determinism.reference_runs`.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import yaml

from tests.determinism.tiny_runs import RUNS, run
from trainyard.config.composition import load_options
from trainyard.io.files import write_text

FILE = Path(__file__).with_suffix(".yaml")
STEPS = 5
OPTIMIZERS = {f"mlp {name}": (*RUNS["mlp"], f"optimizer={name}") for name in load_options("optimizer")}
REFERENCES = {**RUNS, **OPTIMIZERS}
"""What is typed for each: every model, and every optimizer with the smallest."""

Digest = dict[str, list[float]]


class Losses(L.Callback):
    """Keeps the loss of the first training steps in `losses.json` of the run."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *more: Any) -> None:
        if len(self.found) < STEPS:
            self.found.append(float(outputs["loss"]))
            (Path(trainer.default_root_dir) / "losses.json").write_text(json.dumps(self.found))


def digest(folder: Path, name: str) -> Digest:
    """Train, and return the loss of the first steps and of each epoch, and the test's, to 6 digits."""
    found = run(folder, *REFERENCES[name], "+callbacks.losses._target_=tests.determinism.reference_runs.Losses")
    curves = {key: [float(row[key]) for row in found.curves if row[key]] for key in ("train/loss", "val/loss")}
    steps = json.loads((folder / "losses.json").read_text())
    numbers = {"train/loss by step": steps, **curves, "test/loss": [found.result["metrics"]["test/loss"]]}
    return {key: [float(f"{value:.6g}") for value in values] for key, values in numbers.items()}


def rewrite() -> None:
    """Have the file say what is found now."""
    with TemporaryDirectory() as folder:
        found = {name: digest(Path(folder) / name, name) for name in REFERENCES}
    write_text(FILE, yaml.safe_dump(found, default_flow_style=None, sort_keys=False))


if __name__ == "__main__":
    rewrite()
