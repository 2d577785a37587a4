"""The user's own folders of configs, which are searched before the built-in ones: `--config-dir FOLDER`."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trainyard.io.errors import config_error, did_you_mean

OPTIONS = ("--config-dir", "-cd")

added: list[Path] = []  # by the command, or by the call of `compose`, that is running
searched: list[Path] = []  # before the built-in configs, by the last composition; for what depends on its config
searched_last: list[Path] = []  # after the built-in configs: those of hydra.searchpath


@contextmanager
def search_first(folders: Iterable[Path]) -> Iterator[None]:
    """Let what is composed inside search folders before the built-in configs; outer calls apply, too."""
    before = added[:]
    added[:0] = [folder for folder in folders if folder not in added]
    searched[:] = added
    searched_last.clear()
    try:
        yield
    finally:
        added[:] = before


def split_config_dir(args: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without `--config-dir FOLDER`, and those of this option."""
    others: list[str] = []
    own: list[str] = []
    remaining = iter(args)
    for arg in remaining:
        name, has_value, _ = arg.partition("=")
        if name not in OPTIONS:
            others.append(arg)
            continue
        own.append(arg)
        if not has_value:
            own += [folder for folder in (next(remaining, None),) if folder is not None]
    return others, own


def config_folders(options: Sequence[str]) -> list[Path]:
    """Return the folder that `--config-dir FOLDER` names, in a list; an empty list without the option.

    Raises:
        ConfigError: it does not exist, or there are several.
    """
    words = [re.sub(rf"^({'|'.join(OPTIONS)})=", "", word, count=1) for word in options if word not in OPTIONS]
    names = [word for word in words if word]
    if options and len(names) != 1:
        problem = "one folder is needed"
        raise config_error(OPTIONS[0], " ".join(names), problem, "--config-dir FOLDER; more: hydra.searchpath=[FOLDER]")
    return [check_config_folder(name) for name in names]


def check_config_folder(name: str | Path, key: str = OPTIONS[0]) -> Path:
    """Return the absolute path of a folder of configs; raise a ConfigError about `key` if it is none."""
    folder = Path(os.path.abspath(name))  # noqa: PTH100  # without `..`, and without following links
    if folder.is_dir():
        return folder
    problem = "not a folder" if folder.exists() else "does not exist"
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    near = did_you_mean(folder.name, [path.name for path in beside if path.is_dir()])
    raise config_error(
        key, name, f"{problem}{near}", "a folder of config groups, such as conf with conf/model/mine.yaml"
    )
