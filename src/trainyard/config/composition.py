"""Composition: where the configs are, how overrides become a run's config, and how a config becomes objects."""

import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from trainyard.config.config_folders import check_config_folder, search_first, searched, searched_last
from trainyard.config.import_path import add_project_folders, find_plugins
from trainyard.config.objective import known_mode
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import relative

PACKAGE = Path(__file__).parents[1]
# A wheel contains conf/ inside the package; in a checkout it is in the top folder, where users look for it.
CONF_DIR = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parents[1] / "conf"
CONFIG_NAME = "train"
HYDRA_VERSION_BASE = "1.3"
NAME = re.compile(
    r"[A-Za-z_]\w*([./][A-Za-z_]\w*)*", re.ASCII
)  # a string that needs no parsing: Hydra's parser is slow
KEYWORDS = ("true", "false", "null", "nan", "inf")


def run_name(default: str) -> str:
    """Return the name of a run's directory: the default, or under torchrun its ID, which all processes share.

    With `--rdzv-id=ID`, the same command resumes the run; otherwise torchrun draws an ID at random.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return default
    if name == "none":  # the error file is none_RANDOM/attempt_N/RANK/error.json
        name = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parents[2].name.removeprefix("none_")
    with suppress(ValueError):
        name = f"{UUID(name)}"[:8]
    return f"torchrun-{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}"


# Four hexadecimal digits, the same within a config.
OmegaConf.register_new_resolver("random_hex", lambda: secrets.token_hex(2), use_cache=True, replace=True)
OmegaConf.register_new_resolver("known_mode", known_mode, replace=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
# The built-in configs, for an own program: hydra.searchpath=["${trainyard_conf:}"].
OmegaConf.register_new_resolver("trainyard_conf", lambda: str(CONF_DIR), replace=True)
find_plugins()


def compose(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> DictConfig:
    """Return the config that `python train.py *overrides` would run, ready for `trainyard.run.training.train`.

    Args:
        overrides: such as `["model=cnn", "optimizer.lr=0.01"]`.
        config_dir: folder of your own configs, as with `--config-dir`; its options replace built-in ones of that name.

    Raises:
        hydra.errors.HydraException: unknown option or key.
        ConfigError: the folder does not exist.
    """
    own = [] if config_dir is None else [check_config_folder(config_dir, "config_dir")]
    with search_first(own), initialize_config_dir(str(CONF_DIR), version_base=HYDRA_VERSION_BASE):
        cfg = hydra_compose(CONFIG_NAME, list(overrides), return_hydra_config=True)
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(Path(cfg.hydra.run.dir).absolute())
    hydra_config.set_config(cfg)
    try:
        return resolve(cfg)
    finally:
        hydra_config.cfg = before


def resolve(cfg: DictConfig) -> DictConfig:
    """Return a copy without interpolations and without Hydra's own settings.

    Text from the environment becomes a number where the key takes numbers.
    """
    from trainyard.config.arguments import convert_text  # which imports this module

    run = cfg.get("run")
    if "run" not in cfg:
        check_root()
    if not isinstance(run, DictConfig) or not isinstance(run.get("choices"), DictConfig):
        raise config_error("run", run, "every run writes it; it cannot be set", "hydra.run.dir=PATH for its directory")
    values = to_plain(cfg, (str(key) for key in cfg if key != "hydra"))
    choices = values["run"]["choices"]
    values["run"]["choices"] = {key: option for key, option in choices.items() if not key.startswith("hydra/")}
    if OmegaConf.is_interpolation(run, "dir"):  # Hydra has composed it just now
        remember_sources()
    targets = [value for path, value in walk(values) if path.endswith("_target_")]
    add_project_folders(str(target).partition(".")[0] for target in targets)
    convert_text(values)
    return OmegaConf.create(values)


def to_plain(cfg: DictConfig, keys: Iterable[str]) -> dict[str, Any]:
    """Return the values of some keys of a config as plain Python, without interpolations."""
    values: dict[str, Any] = {}
    for key in keys:
        value = "???" if OmegaConf.is_missing(cfg, key) else cfg[key]
        values[key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return values


def instantiate(node: DictConfig, **arguments: Any) -> Any:
    """Build the object that `_target_` names, nested nodes first; all other code builds objects through this function.

    The user composed the config and may name any class. Lists and dicts are passed as plain Python. Further arguments
    are passed as they are: Hydra would make a dict of a dataclass.

    Raises:
        ConfigError: the object rejects its arguments.
        hydra.errors.InstantiationException: any other error, with its cause.
    """
    from hydra.utils import instantiate as hydra_instantiate

    try:
        if not arguments:
            return hydra_instantiate(node, _convert_="all")
        return call(hydra_instantiate(node, _convert_="all", _partial_=True), node, arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        if reason := argument_problem(cause):
            raise ConfigError(f"{node._get_full_key(None)}: {reason}") from error
        raise


def call(make: Callable[..., Any], node: DictConfig, arguments: Mapping[str, Any]) -> Any:
    """Call a partial object with arguments; wrap its error as Hydra does."""
    try:
        return make(**arguments)
    except Exception as error:
        raise InstantiationException(f"Error in call to target '{node._target_}':\n{error!r}") from error


def argument_problem(error: BaseException | None) -> str:
    """Return the message of an error that invalid arguments probably caused, otherwise an empty string."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, ValueError) or type(error).__name__ == "MisconfigurationException":  # Lightning's
        return first
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in first):
        return f"not enough memory ({first.rpartition(': ')[2].partition('. ')[0]})"
    if isinstance(error, TypeError | RuntimeError):  # or a mistake in the user's own class
        return f"{first}\nHYDRA_FULL_ERROR=1 shows the traceback"
    return ""


def remember_sources() -> None:
    """Remember the user's folders that Hydra searched for the config of this process, which may be that of a job."""
    sources = HydraConfig.get().runtime.config_sources
    folders = [*dict.fromkeys(Path(source.path) for source in sources if source.schema == "file")]
    built_in = next(index for index, folder in enumerate([*folders, CONF_DIR]) if folder == CONF_DIR)
    searched[:], searched_last[:] = folders[:built_in], folders[built_in + 1 :]


def load_file(file: Path) -> DictConfig:
    """Return the content of a YAML file, read-only; it is parsed again only if the file has changed."""
    return parse_file(file, file.stat().st_mtime_ns)


@cache
def parse_file(file: Path, modified: int) -> DictConfig:
    """Parse a YAML file; `modified` is part of the cache's key."""
    config: DictConfig = OmegaConf.load(file)  # type: ignore[assignment]
    OmegaConf.set_readonly(config, True)
    return config


def load_root() -> DictConfig:
    """Load the root config without its groups, of the user's folder if that has one."""
    files = (folder / f"{CONFIG_NAME}.yaml" for folder in (*searched, CONF_DIR))
    return load_file(next(file for file in files if file.is_file()))


def check_root() -> None:
    """Raise a ConfigError if the user's folder has a root config that lacks what every run needs."""
    if searched and load_root().get("run") is None:
        problem = f"lacks run, and probably other keys of {CONF_DIR / CONFIG_NAME}.yaml"
        accepted = "a copy with changes; or another file with `defaults: [train, ...]`, and --config-name FILE"
        raise ConfigError(f"your {CONFIG_NAME}.yaml: {problem}\n  accepted: {accepted}")


def load_options(group: str) -> dict[str, DictConfig]:
    """Load the built-in options of a config group, by name."""
    return {file.stem: load_option(group, file.stem) for file in sorted((CONF_DIR / group).glob("*.yaml"))}


def load_option(group: str, name: str) -> DictConfig:
    """Load a built-in option of a config group."""
    return load_file(CONF_DIR / group / f"{name}.yaml")


def config_groups() -> dict[str, list[str]]:
    """Return the options of each config group by its name, those of the user's folders included."""
    groups: dict[str, set[str]] = {}
    folders = (*searched, CONF_DIR, *searched_last)
    for group in (path for folder in folders for path in folder.glob("*") if path.is_dir()):
        groups.setdefault(group.name, set()).update(file.stem for file in group.glob("*.yaml"))
    return {name: sorted(groups[name]) for name in sorted(groups) if groups[name]}


def describe_replaced(chosen: Collection[str]) -> list[str]:
    """Return a line for each file of the user's folders that has the name of a built-in option.

    Args:
        chosen: the options that are used, such as `{"model=mlp"}`; the line says which of both files that is.
    """
    lines: dict[str, str] = {}
    for folder in (*searched, *searched_last):
        for file in (path for pattern in ("*.yaml", "*/*.yaml") for path in sorted(folder.glob(pattern))):
            path = file.relative_to(folder)
            group, option = path.parent.name, f"{path.parent}={path.stem}"
            if (not group or option in chosen) and (CONF_DIR / path).is_file():
                built_in = f"built-in option {option}" if group else "built-in root config"
                line = f"{relative(file)} replaces the {built_in}"
                unused = f"{relative(file)} is not used: hydra.searchpath comes after the {built_in}"
                lines.setdefault(built_in, line if folder in searched else unused)
    return list(lines.values())


def walk(config: object) -> Iterator[tuple[str, Any]]:
    """Yield every value of nested dicts, lists, tuples and dataclasses with its dotted path, in their order.

    Outer values precede inner ones. Not recursive, since a config from a file may be nested deeply.
    """
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        pairs: Iterable[tuple[Any, Any]] = ()
        if isinstance(node, Mapping):
            pairs = node.items()
        elif isinstance(node, list | tuple):
            pairs = enumerate(node)
        elif is_dataclass(node) and not isinstance(node, type):
            pairs = ((field.name, getattr(node, field.name)) for field in fields(node))
        waiting += reversed([(f"{path}.{key}" if path else str(key), part) for key, part in pairs])


def config_values(node: DictConfig, nodes: bool = False, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every key, and of the nodes between them if `nodes` is true.

    A list of plain items is one value.
    """
    for name in node:  # not always a string
        path, value = f"{prefix}{name!s}", node[name]
        if isinstance(value, DictConfig):
            if nodes:
                yield path, value
            yield from config_values(value, nodes, f"{path}.")
        elif isinstance(value, ListConfig) and any(isinstance(item, DictConfig) for item in value):
            for position, item in enumerate(value):
                yield from config_values(item, nodes, f"{path}[{position}].")
        else:
            yield path, OmegaConf.to_container(value) if isinstance(value, ListConfig) else value


@lru_cache(maxsize=10_000)
def parse_override(word: str) -> Override | None:
    """Parse an override; `None` if Hydra cannot parse it."""
    try:
        return OverridesParser.create().parse_override(word)
    except (HydraException, ValueError):  # ValueError: a number with too many digits
        return None


def parse_value(text: str) -> Any:
    """Parse the value of an override; the text itself if it is not a single value."""
    if NAME.fullmatch(text) and text.lower() not in KEYWORDS:
        return text
    override = parse_override(f"key={text}")
    return override.value() if override and not override.is_sweep_override() else text


def quote_value(word: str) -> str:
    """Return `key=value` with the value in the quotes that Hydra needs; an empty string if quotes would change it."""
    key, is_override, value = word.partition("=")
    if not is_override or not value or "${" in value or not word.isprintable():
        return ""
    quote = "'" if '"' in value and "'" not in value else '"'
    escaped = re.sub(rf"(\\*)({quote}|\Z)", lambda found: found[1] * 2 + (found[2] and "\\" + found[2]), value)
    quoted = f"{key}={quote}{escaped}{quote}"
    override = parse_override(quoted)
    return quoted if override and not override.is_sweep_override() and override.value() == value else ""
