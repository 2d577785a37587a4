"""The answer of a probe: which backbone scored best, what it costs, and how large it is."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from trainyard.files import read_json, read_text
from trainyard.plain_yaml import MOST_BYTES, load_yaml
from trainyard.sweeps.search_space import configuration_of

COLUMNS = f"{'':>2}  {'backbone':<36} {'val acc':>8} {'pass, s':>8} {'parameters':>12}"


class Shortlist(Callback):
    """Prints the backbones of a multirun, the best first, by their mean validation accuracy over seeds and folds."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print a row a run: backbone, accuracy, seconds that it took for all images, parameters."""
        folders = sorted(path.parent for path in Path(config.hydra.sweep.dir).glob("*/result.json"))
        rows = [row_of(folder) for folder in folders]
        done = sorted(means(rows), key=lambda row: (-row["accuracy"], row["seconds"]))
        print(f"\n{COLUMNS}")
        for rank, row in enumerate(done, start=1):
            size = f"{row['parameters'] / 1e6:.1f} M"
            print(f"{rank:>2}  {row['backbone']:<36} {row['accuracy']:>8.4f} {row['seconds']:>8.1f} {size:>12}")
        for row in rows:
            if "error" in row:
                print(f" -  {row['backbone']:<36} {row['error']}")
        if done:
            print(f"go on with: model=transfer model.backbone={done[0]['backbone']} finetune=fine_tune")


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for the completed runs that differ in seed or fold only, with their mean accuracy and seconds."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        if "accuracy" in row:
            groups.setdefault(row["configuration"], []).append(row)
    return [
        {**group[0], **{name: statistics.mean(row[name] for row in group) for name in ("accuracy", "seconds")}}
        for group in groups.values()
    ]


def row_of(folder: Path) -> dict[str, Any]:
    """Return what a run's directory says of its backbone."""
    result = read_json(folder / "result.json")
    file = folder / "config.yaml"  # not there where a job was killed before it began
    config = OmegaConf.create(load_yaml(read_text(file, MOST_BYTES)) if file.is_file() else {})
    backbone = OmegaConf.select(config, "model.backbone", default=folder.name)
    if result["status"] != "completed":
        return {"backbone": backbone, "error": result["error"] or result["status"]}
    features = result["data"].get("features", {})
    typed = OmegaConf.select(config, "run.overrides", default=[folder.name])
    return {
        "backbone": backbone,
        "configuration": configuration_of(typed),
        "accuracy": result["metrics"]["val/acc"],
        "seconds": features.get("seconds", result["seconds"]),
        "parameters": result["parameters"],
    }
