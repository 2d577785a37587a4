"""Creates a project with a model, data and configs of its own: `trainyard new FOLDER`."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from tempfile import TemporaryDirectory

from trainyard.config.import_path import installed_only
from trainyard.io.errors import config_error

TEMPLATES = Path(__file__).with_name("project")
SUFFIX = ".template"  # so that no tool takes them for code of this package
KEY = "FOLDER"
NEXT = """\
created    {folder}: {count} files
next       cd {folder}
           pytest
           trainyard --config-dir conf experiment=forecast
see        {folder}/README.md"""


def create_project(folder: Path) -> None:
    """Create a project in a new or empty folder, completely or not at all, and print how to use it.

    Raises:
        ConfigError: the folder contains files, cannot be written, or has a name that a package cannot have.
    """
    check_name(folder.absolute().name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise config_error(KEY, folder, "already exists", "a new or empty folder")
    templates = {path.relative_to(TEMPLATES): path for path in sorted(TEMPLATES.rglob(f"*{SUFFIX}"))}
    try:
        parent = folder.absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=parent) as draft:
            for name, path in templates.items():
                file = Path(draft, name).with_suffix("")
                file.parent.mkdir(parents=True, exist_ok=True)
                text = path.read_text(encoding="utf-8").replace("PROJECT_NAME", folder.absolute().name)
                file.write_text(text, encoding="utf-8")
            folder.mkdir(exist_ok=True)  # it may be the current folder
            for path in sorted(Path(draft).iterdir()):
                path.rename(folder / path.name)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise config_error(KEY, folder, problem, "a folder that you may write to") from error
    print(NEXT.format(folder=folder, count=len(templates)))


def check_name(name: str) -> None:
    """Raise a ConfigError for a name that is not one of a Python package, or that an installed one has."""
    if not name.isidentifier() or iskeyword(name):
        near = re.sub(r"\W", "_", name).lstrip("_0123456789") or "my_project"
        accepted = f"letters, digits and _, such as {near}"
        raise config_error(KEY, name, "not a valid name of a Python package", accepted)
    with installed_only():
        spec = None if name in sys.builtin_module_names else find_spec(name)
    if name in sys.stdlib_module_names or (spec and spec.origin):
        problem = "an installed package has this name, and your project would hide it"
        raise config_error(KEY, name, problem, f"another name, such as my_{name}")
