"""A directory that no other run has, however many start at the same moment."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

DRAWN = "${random_hex:}"
TRIES = 100


class OwnDirectory(Callback):
    """Makes the directory of a run before Hydra does; where its name is taken, four other digits are drawn.

    Making a directory is the one step of which two processes cannot both believe that they were first. A directory
    that a person has typed is theirs: a run that lies there goes on, or is replaced.
    """

    def on_run_start(self, config: DictConfig, **more: Any) -> None:
        """Draw until the name is free; what cannot be written at all, Hydra says."""
        unresolved = OmegaConf.to_container(config.hydra.run, resolve=False)
        if DRAWN not in str(unresolved["dir"]):  # type: ignore[index, call-overload]
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


def remove_links(folder: Path) -> None:
    """Remove links in a place that Hydra writes to before a run begins, and that may come from someone else."""
    for path in (folder, *(folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ())):
        if path.is_symlink():
            path.unlink()
