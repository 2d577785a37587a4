"""Directories of sweeps, written without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep


def completed(score: float, objective: str = "val/acc", **more: Any) -> dict[str, Any]:
    """Return the content of `result.json` of a completed run."""
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
    """Return the search space of a command line."""
    return SearchSpace.parse(OverridesParser.create().parse_overrides(list(words)), **options)


def stored(
    folder: Path, words: Sequence[str], results: Sequence[Mapping[str, Any] | float | None], objective: str = "val/acc"
) -> StoredSweep:
    """Write a sweep whose jobs have these results: a score, the content of `result.json`, or none."""
    folder.mkdir(parents=True, exist_ok=True)
    own = space(words)
    StoredSweep.create(folder, own, Objective.from_stored({"objective": objective}))
    assert len(results) == len(own.jobs())
    for number, result in enumerate(results):
        if result is None:
            continue
        content = completed(result, objective) if isinstance(result, float) else result
        (folder / str(number) / "checkpoints").mkdir(parents=True)
        (folder / str(number) / "checkpoints" / "best.ckpt").touch()
        (folder / str(number) / "result.json").write_text(json.dumps(content))
    return StoredSweep.find(str(folder))


def job(folder: Path, number: int, **result: Any) -> Job:
    """Return a job with a directory; `result` is the content of its `result.json`."""
    own = Job(number, [f"seed={number}"], folder / str(number))
    own.folder.mkdir(exist_ok=True)
    if result:
        (own.folder / "result.json").write_text(json.dumps(result))
    return own.refresh()
