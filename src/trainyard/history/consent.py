"""Whether a person wants to run what lies in a run's directory."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainyard.errors import ConfigError, reject
from trainyard.history.code import Code
from trainyard.resume import check_training
from trainyard.stored.run import StoredRun
from trainyard.terminal.controls import escape_controls


def agree(run: StoredRun, code: Code | None, yes: bool, config: Mapping[str, Any], folder: Path) -> None:
    """Ask before code is run that comes with the run instead of from a commit: a patch, or what its config names.

    Args:
        run: that is to be run again.
        code: that is to be checked out; `None` where the installed package runs, and no patch with it.
        yes: whether a person has agreed already.
        config: of the new run.
        folder: of the new run, in which it may write.

    Raises:
        ConfigError: nobody agrees.
    """
    reasons = [code.patch_text] if code and code.patch else []
    try:
        check_training(dict(config), folder)
    except ConfigError as error:
        reasons.append(str(error).splitlines()[0])
    if not reasons or yes:
        return
    question = escape_controls(f"it would run what its directory brings: {' and '.join(reasons)}", keep="")
    if sys.stdin.isatty() and input(f"{question}: run it? [y/N] ").strip().lower() in ("y", "yes"):
        return
    raise reject("RUN", run.name, question, "--yes, after a look at provenance.json and config.yaml in it")
