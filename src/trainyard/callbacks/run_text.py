"""Config and provenance of a run as text in TensorBoard."""

import json
import shlex
from pathlib import Path
from typing import Any

import lightning as L

from trainyard.callbacks.leave import leave
from trainyard.callbacks.tensorboard import tensorboard_writer
from trainyard.terminal.markdown import markdown_table

PACKAGES = ("torch", "lightning", "torchvision", "timm", "hydra-core", "numpy")


class RunText(L.Callback):
    """Shows the resolved config, and where the run comes from, under TensorBoard's Text tab.

    Args:
        folder: of the run, which holds `config.yaml` and `provenance.json`.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the texts."""
        leave(trainer, self)
        writer = tensorboard_writer(trainer)
        if writer is not None:
            lines = (self.folder / "config.yaml").read_text(encoding="utf-8").splitlines()
            writer.add_text("config", "\n".join(f"    {line}" for line in lines))  # four spaces: Markdown's code
            origin = json.loads((self.folder / "provenance.json").read_text(encoding="utf-8"))
            writer.add_text("provenance", provenance_table(origin))


def provenance_table(origin: dict[str, Any]) -> str:
    """Return what `trainyard.provenance.provenance` found as a Markdown table; the packages that matter most."""
    git, hardware, versions = origin["git"], origin["hardware"], origin["packages"]
    changed = git and len(git["uncommitted_patch"].splitlines())
    rows = {
        "started": origin["started"],
        "command": shlex.join(origin["command"]),
        "directory": origin["directory"],
        "commit": git["commit"] if git else "not run from a checkout",
        "uncommitted": f"{changed} lines of patch, {len(git['untracked'])} files untracked" if git else "",
        "python": origin["python"],
        **{name: versions[name] for name in PACKAGES if name in versions},
        "machine": f"{hardware['platform']}, {hardware['cores']} cores, {hardware['threads']} threads",
        "GPUs": ", ".join(hardware["gpus"]) or "none",
    }
    return markdown_table(("what", "which"), list(rows.items()))
