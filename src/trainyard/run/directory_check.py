"""The Hydra callback that creates the directory of a run, and checks of a directory before a run writes to it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainyard.config.arguments import check_integers
from trainyard.io.errors import PassThrough, config_error, join_limited
from trainyard.io.files import check_path, check_regular_files
from trainyard.run.run_directory import FILES, FOLDERS, LOCK, LOG, RESULT, read_config, read_result

RANDOM_SUFFIX = "${random_hex:}"
TRIES = 100
# Keys of Hydra that must not be changed: the allowed values, the reason, and the accepted input.
FIXED: dict[str, tuple[tuple[object, ...], str, str]] = {
    "job.chdir": ((None, False), "runs stay in the current folder, so that relative paths keep their meaning", "false"),
    "sweep.subdir": (
        ("${hydra.job.num}",),
        "the jobs of a sweep are in numbered folders",
        "hydra.sweep.dir=PATH for the folder of the sweep",
    ),
    "output_subdir": ((".hydra", None), "it could be the name of a run's own files", ".hydra, or null for none"),
}


class RunDirectoryCallback(Callback):
    """Creates the directory of a run before Hydra does; if its name exists, another random suffix is used.

    Only one of several processes can create a directory, so two runs never share one by accident. In a directory that
    the user chose, an earlier run is resumed or replaced.
    """

    def on_run_start(self, config: DictConfig, **more: Any) -> None:
        """Create the directory, unless the user chose it; Hydra reports one that cannot be created."""
        with pass_through_errors():
            check_keys(config, "sweep.dir", "run.dir")
        unresolved = OmegaConf.to_container(config.hydra.run, resolve=False)
        if RANDOM_SUFFIX not in str(unresolved["dir"]):  # type: ignore[index, call-overload]
            with pass_through_errors():
                check_run_directory(Path(config.hydra.run.dir))
            with suppress(OSError, OmegaConfBaseException):
                remove_links(Path(config.hydra.run.dir) / ".hydra")
            return
        for _ in range(TRIES):
            try:
                Path(config.hydra.run.dir).mkdir(parents=True)
            except FileExistsError:
                OmegaConf.clear_cache(config)
            except (OSError, OmegaConfBaseException):
                return
            else:
                return
        raise FileExistsError(0, f"{TRIES} names are taken", config.hydra.run.dir)

    def on_multirun_start(self, config: DictConfig, **more: Any) -> None:
        """Check the keys that concern the directories of a sweep."""
        with pass_through_errors():
            check_keys(config, "run.dir", "sweep.dir")


@contextmanager
def pass_through_errors() -> Iterator[None]:
    """Raise errors outside of Hydra, which only warns of those in callbacks."""
    try:
        yield
    except Exception as error:
        raise PassThrough(error) from error


def check_keys(config: DictConfig, unused: str, used: str) -> None:
    """Raise a ConfigError for an override of a Hydra key that would have no effect, or a harmful one.

    Args:
        config: the config with Hydra's node.
        unused, used: the keys of the directory that this kind of run ignores, and of the one that it writes to.
    """
    whole: Any = OmegaConf.to_container(config, resolve=False)
    check_integers(whole)
    values = whole["hydra"]
    for key, (allowed, reason, accepted) in FIXED.items():
        parent, _, name = key.rpartition(".")
        value = (values.get(parent, {}) if parent else values).get(name, allowed[0])
        if value not in allowed:
            raise config_error(f"hydra.{key}", value, reason, accepted)
    for word in values.get("overrides", {}).get("hydra", []):
        key, _, value = word.partition("=")
        if key.lstrip("+") == f"hydra.{unused}":
            problem = "without -m there is no sweep" if unused == "sweep.dir" else "with -m, each job has its own"
            raise config_error(f"hydra.{unused}", value, problem, f"hydra.{used}=PATH")


def check_directory(folder: Path, resume: bool) -> None:
    """Raise a ConfigError if a run cannot write to a directory, or would destroy results or other files."""
    check_places(folder)
    if not resume:
        check_run_directory(folder)
    check_regular_files("hydra.run.dir", folder)
    if resume:
        check_resumable(folder)


def check_run_directory(folder: Path) -> None:
    """Raise a ConfigError for the current directory, and for one with files that are not of a run."""
    accepted = "a folder that is new, empty, or of an earlier run"
    check_path("hydra.run.dir", str(folder))
    check_not_current("hydra.run.dir", folder, accepted)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if not name.startswith(".") and name != "console.log"]  # of a sweep's job
    if others and not isinstance(read_config(folder).get("run"), dict) and "provenance.json" not in others:
        raise config_error("hydra.run.dir", folder, f"it contains other files ({join_limited(others, 5)})", accepted)


def check_not_current(key: str, folder: Path, accepted: str) -> None:
    """Raise a ConfigError for the current folder, and for one that contains it."""
    if Path.cwd().is_relative_to(folder.resolve()):
        problem = "this is the current folder" if folder.resolve() == Path.cwd() else "it contains the current folder"
        raise config_error(key, str(folder), problem, accepted)


def check_places(folder: Path) -> None:
    """Raise a ConfigError if a folder is in the place of one of a run's files, or a file in the place of a folder."""
    kinds = {name: "a folder, but must be a file" for name in (*FILES, LOG, LOCK) if (folder / name).is_dir()}
    kinds |= {name: "a file, but must be a folder" for name in FOLDERS if (folder / name).is_file()}
    for name, kind in kinds.items():
        problem = f"{name} is {kind}"
        raise config_error("hydra.run.dir", folder, problem, "the directory without it, or another directory")


def check_resumable(folder: Path) -> None:
    """Raise a ConfigError if resuming a run would replace its results: it has some, but no intact checkpoint.

    A run that was interrupted, or failed, before it wrote its first `last.ckpt` can start again from step 0.
    """
    from trainyard.callbacks.checkpoint_files import LAST, PREVIOUS, newest_intact  # imports torch

    checkpoints = folder / "checkpoints"
    if newest_intact(checkpoints) is not None:
        return
    left = [name for name in (LAST, PREVIOUS) if (checkpoints / name).exists()]
    ended = (folder / RESULT).exists() and read_result(folder).get("status") not in ("interrupted", "failed")
    if left or ended:
        state = f"{join_limited(left)} is damaged" if left else f"there is no {LAST}"
        problem = f"{state} in {checkpoints}, so it cannot be resumed; nothing was changed"
        raise config_error("resume", folder, problem, "a run with an intact last.ckpt or previous.ckpt, or a new run")


def remove_links(folder: Path) -> None:
    """Remove links in the folder that Hydra writes to: in someone else's directory they may point anywhere."""
    for path in (folder, *(folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ())):
        if path.is_symlink():
            path.unlink()
