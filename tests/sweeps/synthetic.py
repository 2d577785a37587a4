"""Directories of sweeps that nobody ran."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep


def completed(score: float, objective: str = "val/acc", **more: Any) -> dict[str, Any]:
    """What `result.json` of a run holds that is completed."""
    return {
        "status": "completed",
        "objective": {"name": objective, "value": score, "epoch": 2},
        "metrics": {objective: score, objective.replace("val/", "test/"): score / 2},
        "epochs": 3,
        "checkpoint": "checkpoints/best.ckpt",
        "seconds": 1.5,
        "error": None,
        **more,
    }


def space(words: Sequence[str], **options: Any) -> SearchSpace:
    """What a command line spans."""
    return SearchSpace.parse(OverridesParser.create().parse_overrides(list(words)), **options)


def stored(
    folder: Path, words: Sequence[str], results: Sequence[Mapping[str, Any] | float | None], objective: str = "val/acc"
) -> StoredSweep:
    """Write a sweep whose jobs ended so: with a score, a whole result, or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    found = space(words)
    StoredSweep.create(folder, found, objective)
    assert len(results) == len(found.jobs())
    for number, result in enumerate(results):
        if result is None:
            continue
        content = completed(result, objective) if isinstance(result, float) else result
        (folder / str(number) / "checkpoints").mkdir(parents=True)
        (folder / str(number) / "checkpoints" / "best.ckpt").touch()
        (folder / str(number) / "result.json").write_text(json.dumps(content))
    return StoredSweep.find(str(folder))
