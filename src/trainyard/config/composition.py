"""Composition: where the configs lie, how they become a run's config, and how a config becomes objects."""

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.import_path import add_current_folder, find_plugins
from trainyard.io.errors import ConfigError, config_error

PACKAGE = Path(__file__).parents[1]
# A wheel carries conf/ inside the package; in a checkout it stands at the top, where people look for it.
CONF_DIR = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parents[1] / "conf"
CONFIG_NAME = "train"
HYDRA_VERSION_BASE = "1.3"


def objective_mode(metric: str) -> str:
    """Return whether a metric is to be made large (`max`) or, being a loss, small (`min`)."""
    return "min" if metric.endswith("loss") else "max"


def run_name(own: str) -> str:
    """Return the name of a run's directory: the ID of the torchrun command, which all processes share, or `own`.

    The ID is `--rdzv-id`, so that the same command resumes the run; without it, the random ID that torchrun drew.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return own
    if name == "none":  # the error file is none_RANDOM/attempt_N/RANK/error.json
        name = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[2].name.removeprefix("none_")
    with suppress(ValueError):
        name = f"{UUID(name)}"[:8]
    return f"torchrun-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"


def register_resolvers() -> None:
    """Make known to OmegaConf what the configs use.

    `${random_hex:}` is four hex digits, the same within a config; `${mode:METRIC}` is `min` or `max`; `${run_name:OWN}`
    is a name that all processes of a run share.
    """
    OmegaConf.register_new_resolver("random_hex", lambda: secrets.token_hex(2), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("mode", objective_mode, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


register_resolvers()
find_plugins()


def compose(overrides: Sequence[str] = (), config_dir: Path = CONF_DIR) -> DictConfig:
    """Return the config that `python train.py *overrides` would run, ready for `trainyard.run.training.train`.

    Raises:
        hydra.errors.HydraException: an override that names no option or key, as on the command line.
    """
    with initialize_config_dir(str(config_dir), version_base=HYDRA_VERSION_BASE):
        cfg = hydra_compose(CONFIG_NAME, list(overrides), return_hydra_config=True)
    keeper = HydraConfig.instance()
    before = keeper.cfg
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(Path(cfg.hydra.run.dir).absolute())
    keeper.set_config(cfg)
    try:
        return resolved(cfg)
    finally:
        keeper.cfg = before


def resolved(cfg: DictConfig) -> DictConfig:
    """Return a copy without interpolations and without what is Hydra's own: what the run is a function of.

    Text from the environment is read as a number where the key takes numbers.
    """
    from trainyard.config.constraints import read_text  # which imports this module

    parts = {str(key): "???" if OmegaConf.is_missing(cfg, key) else cfg[key] for key in cfg if key != "hydra"}
    values: dict[str, Any] = {
        key: OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part
        for key, part in parts.items()
    }
    own = values.get("run")
    if not isinstance(own, dict) or not isinstance(own.get("choices"), dict):
        raise config_error("run", own, "it is written by every run, not typed", "hydra.run.dir=PATH for its directory")
    chosen = own["choices"]
    for group in [group for group in chosen if group.startswith("hydra/")]:  # such as the launcher
        del chosen[group]
    read_text(values)
    add_current_folder(own_packages(values))
    plain = OmegaConf.create(values)
    assert isinstance(plain, DictConfig)
    return plain


def own_packages(node: Any) -> Iterator[str]:
    """Yield the first word of every `_target_` in nested dicts and lists."""
    if isinstance(node, dict) and isinstance(target := node.get("_target_"), str):
        yield target.partition(".")[0]
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from own_packages(part)


def instantiate(node: DictConfig, **arguments: Any) -> Any:
    """Build what a config node names by `_target_`; the only place that does.

    The config is what a person composed at the keyboard and so may name any class. Lists and dicts arrive as plain
    Python. Nodes inside are built first, as Hydra does.

    Raises:
        ConfigError: what was built rejects its arguments.
        hydra.errors.InstantiationException: any other error, with its cause.
    """
    from hydra.utils import instantiate as hydra_instantiate

    try:
        return hydra_instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        if said := of_arguments(cause):
            raise ConfigError(f"{node._get_full_key(None)}: {said}") from error
        raise


def of_arguments(error: BaseException | None) -> str:
    """Return what an error says of the arguments that something was built with; nothing where it is of another kind."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, ValueError) or type(error).__name__ == "MisconfigurationException":  # Lightning's
        return first
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in first):
        return f"there is not so much memory ({first.rpartition(': ')[2].partition('. ')[0]})"
    if isinstance(error, TypeError | RuntimeError):  # or a mistake in a class of one's own
        return f"{first}\nHYDRA_FULL_ERROR=1 shows where"
    return ""


def group_options(group: str) -> dict[str, DictConfig]:
    """Return the options of a config group as the project ships them, by name."""
    files = sorted((CONF_DIR / group).glob("*.yaml"))
    return {file.stem: OmegaConf.load(file) for file in files}  # type: ignore[misc]


def leaves(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted path and the value of every key that holds no further keys; a list of plain items is a value."""
    for name in node:  # a number, where a person has typed one
        path = f"{prefix}{name!s}"
        value = node[name]
        if isinstance(value, DictConfig):
            yield from leaves(value, f"{path}.")
        elif isinstance(value, ListConfig) and any(isinstance(item, DictConfig) for item in value):
            for position, item in enumerate(value):
                yield from leaves(item, f"{path}[{position}].")
        else:
            yield path, OmegaConf.to_container(value) if isinstance(value, ListConfig) else value


def keys_inside(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted path and the value of every key that holds further keys, unless they say what is to be built."""
    for name in node:
        value = None if OmegaConf.is_missing(node, name) else node[name]
        if isinstance(value, DictConfig) and "_target_" not in value:
            yield f"{prefix}{name!s}", value
        if isinstance(value, DictConfig):
            yield from keys_inside(value, f"{prefix}{name!s}.")
