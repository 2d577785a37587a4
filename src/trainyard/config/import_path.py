"""The import path: modules in the current folder, which may be someone else's, are imported only on request."""

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from trainyard.config.config_folders import searched

SAFE_PATH, MARK = "PYTHONSAFEPATH", "trainyard"  # Python only checks whether the variable has a value
PACKAGES = Path(__file__).parents[2]  # the folder that contains this package


@contextmanager
def installed_only() -> Iterator[None]:
    """Import only from installed packages and PYTHONPATH.

    Otherwise Python searches the current folder or that of the script before all others.
    """
    before = sys.path[:]
    allowed = {Path(folder).resolve() for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder}
    first = {Path.cwd(), Path(getattr(sys.modules["__main__"], "__file__", None) or ".").resolve().parent}
    excluded = first - allowed - {PACKAGES.resolve()}
    sys.path[:] = [folder for folder in before if folder and Path(folder).resolve() not in excluded]
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def installed_only_in_children() -> Iterator[None]:
    """Start processes of multiprocessing, which are `python -c`, so that they do not search the current folder.

    They call `forget_safe_path`, since scripts that they start search their own folder. No effect in Python 3.10.
    """
    if SAFE_PATH in os.environ:
        yield
        return
    os.environ[SAFE_PATH] = MARK
    try:
        yield
    finally:
        forget_safe_path()


def forget_safe_path() -> None:
    """Remove the variable that `installed_only_in_children` has set."""
    if os.environ.get(SAFE_PATH) == MARK:
        del os.environ[SAFE_PATH]


def find_plugins() -> None:
    """Restrict Hydra, which imports every module of a package `hydra_plugins`, to installed plugins."""
    with installed_only():
        package = importlib.import_module("hydra_plugins")
        package.__path__ = list(package.__path__)  # of a namespace package, which otherwise follows sys.path


def add_project_folders(names: Iterable[str]) -> None:
    """Append the user's project to the import path if it contains a named package that is not installed.

    The project is the current folder, or the folder that contains the one of `--config-dir`.
    """
    folders = [Path.cwd(), *(folder.parent for folder in searched)]
    for name in names:
        found = (path for path in folders if (path / name).is_dir() or (path / f"{name}.py").is_file())
        folder = str(next(found, ""))
        if name.isidentifier() and folder and folder not in sys.path and not is_importable(name):
            sys.path.append(folder)


def is_importable(name: str) -> bool:
    """Return whether a package or module is found already; not a folder without `__init__.py`, such as `src`."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module else find_spec(name)
    return spec.origin is not None if spec else module is not None


def broken_module(name: str) -> str:
    """Return which module of a dotted name fails to import, and why; empty if all are imported or do not exist."""
    parts = name.split(".")
    for module in (".".join(parts[:end]) for end in range(1, len(parts))):
        try:
            importlib.import_module(module)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
                return ""
            return f"{module} cannot be imported ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    return ""
