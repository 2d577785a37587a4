"""Where a stored config may write: into its run directory and the user's cache."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainyard.config.composition import load_options, walk
from trainyard.config.trusted import DATA, NOT_BUILT, check_stored, check_target
from trainyard.io.errors import config_error

WRITERS = ("callbacks", "logger", "trainer", "checkpoint")  # model and data only read
# Arguments that name folders to write to. Other strings are checked only if they lead out of the current folder.
FOLDERS = (
    *("save_dir", "dirpath", "dir", "folder", "root_dir", "log_dir"),
    *("artifact_location", "tracking_uri", "exclude_batches_path"),
)
FEATURE_CACHE = "trainyard.models.feature_cache.FeatureCache"
SHIPPED_SERVER = "sqlite:///outputs/mlflow.db"  # as in conf/logger/mlflow.yaml
OUTSIDE_PATH = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|.*://|(.*[/\\])?\.\.([/\\]|$)", re.DOTALL)
# Lightning formats file names with metrics: {epoch:c} in epoch 47 is a slash, and attributes may contain one.
FILE_NAME = re.compile(r"([^{}]|\{[^][{}!:]*(:\d*(\.\d+)?[defg]?)?\})*", re.DOTALL)


def check_training(stored: dict[str, Any], folder: Path, trusted: Sequence[str] = ()) -> None:
    """Raise a ConfigError if a stored config must not be trained in a directory: by what it builds, writes or loads."""
    check_stored(stored, trusted, NOT_BUILT)
    check_paths(stored, folder)
    data = stored.get("data")
    if not isinstance(data, dict):
        raise config_error("data", data, "not a data module", "a config.yaml that train.py wrote")
    check_download(data, check_target("data._target_", data.get("_target_"), DATA, trusted))


def check_paths(config: Mapping[str, Any], run: Path) -> None:
    """Raise a ConfigError for a path outside of the directory of a run that its config, with own caches, writes to."""
    own = (own_cache(), SHIPPED_SERVER)
    for path, value in walk({key: config.get(key) for key in WRITERS}):
        keys = [key for key in path.split(".") if not key.isdigit()]
        if keys[-1] == "filename" and isinstance(value, str) and not FILE_NAME.fullmatch(value):
            problem = "a stored config must format values as numbers only"
            raise config_error(path, value, problem, "such as {epoch:02d} or {val/loss:.3f}")
        if not isinstance(value, str) or value in own or not (keys[-1] in FOLDERS or OUTSIDE_PATH.match(value)):
            continue
        if not Path(value).expanduser().resolve().is_relative_to(run.resolve()):
            problem = "a stored config must not write outside of its run"
            raise config_error(path, value, problem, f"a folder in {run}, or {path}=VALUE on the command line")


def check_callback_states(states: Mapping[str, Any], checkpoint: Path) -> None:
    """Raise a ConfigError for a path with `..` in the callbacks' states of a checkpoint.

    Lightning's ModelCheckpoint removes files that its state names, and accepts `RUN/checkpoints/../..`.
    """
    for name, state in states.items():
        values = state if isinstance(state, dict) else {}
        models = values.get("best_k_models")
        for text in [*values.values(), *(models if isinstance(models, dict) else ())]:
            if isinstance(text, str) and ".." in re.split(r"[/\\]", text):
                problem = f"the state of {name} contains a path outside of the run ({text})"
                raise config_error("resume", checkpoint, problem, "a checkpoint that train.py wrote")


def use_own_caches(config: dict[str, Any]) -> None:
    """Replace the cache folders of a stored config by the user's own; no result depends on them."""
    data, callbacks = config.get("data"), config.get("callbacks")
    if isinstance(data, dict) and "cache" in data and str(data.get("_target_")).startswith("trainyard."):
        data["cache"] = own_cache()  # an argument of this name may mean anything in a user's class
    for part in callbacks.values() if isinstance(callbacks, dict) else ():
        if isinstance(part, dict) and part.get("_target_") == FEATURE_CACHE:
            part["folder"] = own_cache()


def own_cache() -> str:
    """Return the cache folder that a config composed now would have."""
    return str(load_options("data")["image_folder"].cache)


def check_download(data: Mapping[str, Any], kind: type) -> None:
    """Raise a ConfigError if a data set would be downloaded outside of the current folder."""
    if getattr(kind, "downloads", False) is True and "root" in data:
        root = Path(str(data["root"])).expanduser()
        if not root.is_dir() and not root.absolute().resolve().is_relative_to(Path.cwd()):
            problem = "does not exist, and a stored config must not download outside of the current folder"
            raise config_error("data.root", data["root"], problem, "a folder that exists")
