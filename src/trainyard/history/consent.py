"""Whether a person wants to run what lies in a run's directory."""

import sys
from collections.abc import Iterator
from typing import Any

from trainyard.errors import listing, reject
from trainyard.history.code import Code
from trainyard.stored.run import StoredRun

# Parts of runs. What else these packages have, such as torch.hub.load, can run any code.
OWN = (
    "callbacks",
    "checkpoints",
    "processes",
    "data",
    "event_files",
    "metrics_table",
    "models",
    "optim",
)
TRUSTED = (
    *(f"trainyard.{name}." for name in OWN),
    "torch.nn.",
    "torch.optim.",
    "timm.optim.",
    "torchmetrics.",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
    "lightning.pytorch.profilers.",
)


def agree(run: StoredRun, code: Code | None, yes: bool) -> None:
    """Ask before code is run that comes with the run instead of from a commit: a patch, or what else its config names.

    Args:
        run: that is to be run again.
        code: that is to be checked out; `None` where the installed package runs, and no patch with it.
        yes: whether a person has agreed already.

    Raises:
        ConfigError: nobody agrees.
    """
    foreign = sorted({target for target in targets(run.config) if not target.startswith(TRUSTED)})
    reasons = [code.patch_text] if code and code.patch else []
    reasons += [f"{listing(foreign)} by its config"] if foreign else []
    if not reasons or yes:
        return
    question = f"it would run what its directory brings: {' and '.join(reasons)}"
    if sys.stdin.isatty() and input(f"{question}: run it? [y/N] ").strip().lower() in ("y", "yes"):
        return
    raise reject("RUN", run.name, question, "--yes, after a look at provenance.json and config.yaml in it")


def targets(node: Any) -> Iterator[str]:
    """Yield the name of each class and function that a config names."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for part in parts:
        yield from targets(part)
    if isinstance(node, dict) and "_target_" in node:
        yield str(node["_target_"])
