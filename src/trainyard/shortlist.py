"""The answer of a probe: which backbone scored best, what it costs, and how large it is."""

import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

COLUMNS = f"{'':>2}  {'backbone':<36} {'val acc':>8} {'pass, s':>8} {'parameters':>12}"


class Shortlist(Callback):
    """Prints the runs of a multirun from the best on, by the accuracy on validation."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print a row a run: backbone, accuracy, seconds that it took for all images, parameters."""
        folders = sorted(path.parent for path in Path(config.hydra.sweep.dir).glob("*/result.json"))
        rows = [row_of(folder) for folder in folders]
        done = sorted((row for row in rows if "accuracy" in row), key=lambda row: (-row["accuracy"], row["seconds"]))
        print(f"\n{COLUMNS}")
        for rank, row in enumerate(done, start=1):
            size = f"{row['parameters'] / 1e6:.1f} M"
            print(f"{rank:>2}  {row['backbone']:<36} {row['accuracy']:>8.4f} {row['seconds']:>8.1f} {size:>12}")
        for row in rows:
            if "error" in row:
                print(f" -  {row['backbone']:<36} {row['error']}")
        if done:
            print(f"go on with: model=transfer model.backbone={done[0]['backbone']} finetune=fine_tune")


def row_of(folder: Path) -> dict[str, Any]:
    """Return what a run's directory says of its backbone."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    file = folder / "config.yaml"  # not there where a job was killed before it began
    config = OmegaConf.load(file) if file.is_file() else OmegaConf.create()
    backbone = OmegaConf.select(config, "model.backbone", default=folder.name)
    if result["status"] != "completed":
        return {"backbone": backbone, "error": result["error"] or result["status"]}
    features = result["data"].get("features", {})
    return {
        "backbone": backbone,
        "accuracy": result["metrics"]["val/acc"],
        "seconds": features.get("seconds", result["seconds"]),
        "parameters": result["parameters"],
    }
