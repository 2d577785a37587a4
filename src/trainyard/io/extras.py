"""Optional dependencies: whether they are installed, and the command that installs them here."""

import os
import shlex
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from trainyard.terminal.invocation import interpreter

PROJECT = Path(__file__).resolve().parents[3]  # in a checkout


def install_command(extra: str) -> str:
    """Return the command that installs an extra of Trainyard into this Python: from the checkout, if it is one."""
    pip = [*interpreter(), "-m", "pip", "install"]
    if not (PROJECT / "pyproject.toml").is_file():
        return shlex.join([*pip, f"trainyard[{extra}]"])
    project = os.path.relpath(PROJECT) if PROJECT.is_relative_to(Path.cwd()) else str(PROJECT)
    return shlex.join([*pip, "-c", str(Path(project) / "constraints.txt"), "-e", f"{project}[{extra}]"])


def describe_missing(extra: str, packages: Sequence[str], error: Exception | None = None) -> tuple[str, str]:
    """Return why the packages of an extra cannot be used, and the remedy.

    Args:
        extra: name of the extra.
        packages: names of its packages, as they are imported.
        error: raised by a library that needs them; it is shown if all can be imported.
    """
    remedy = f"after `{install_command(extra)}`"
    if missing := [package for package in packages if find_spec(package) is None]:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed", remedy
    for package in packages:
        try:
            import_module(package)
        except Exception as problem:  # whatever the code of the package raises
            return f"{package} fails to import: {(str(problem).splitlines() or [type(problem).__name__])[0]}", remedy
    return f"{' and '.join(packages)} cannot be used: {error}", remedy
