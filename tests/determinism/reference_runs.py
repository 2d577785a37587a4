"""Losses of tiny runs, to compare with the reference values in `reference_runs.yaml`.

If a change is meant to change numbers, update the file and explain it in the commit message:
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
"""Overrides of each run: every model, and the mlp with every optimizer."""

Digest = dict[str, list[float]]


class Losses(L.Callback):
    """Records the loss of the first training steps in `losses.json` of the run."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *more: Any) -> None:
        if len(self.losses) < STEPS:
            self.losses.append(float(outputs["loss"]))
            (Path(trainer.default_root_dir) / "losses.json").write_text(json.dumps(self.losses))


def digest(folder: Path, name: str) -> Digest:
    """Train; return the losses of the first steps, of each epoch and of the test, with 6 digits."""
    output = run(folder, *REFERENCES[name], "+callbacks.losses._target_=tests.determinism.reference_runs.Losses")
    curves = {key: [float(row[key]) for row in output.curves if row[key]] for key in ("train/loss", "val/loss")}
    steps = json.loads((folder / "losses.json").read_text())
    numbers = {"train/loss by step": steps, **curves, "test/loss": [output.result["metrics"]["test/loss"]]}
    return {key: [float(f"{value:.6g}") for value in values] for key, values in numbers.items()}


def update_file() -> None:
    """Write the current losses into the file."""
    with TemporaryDirectory() as folder:
        losses = {name: digest(Path(folder) / name, name) for name in REFERENCES}
    write_text(FILE, yaml.safe_dump(losses, default_flow_style=None, sort_keys=False))


if __name__ == "__main__":
    update_file()
