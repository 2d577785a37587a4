"""The best configuration of a sweep as an experiment."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from trainyard.config.composition import CONF_DIR, load_root
from trainyard.config.config_folders import added
from trainyard.config.trusted import check_stored
from trainyard.config.trusted_paths import check_paths
from trainyard.io.errors import config_error
from trainyard.io.files import check_path, relative, write_text
from trainyard.sweeps.search_space import is_replicate
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.invocation import train_command

NOT_TEXT = ("null", "true", "false", "nan", "inf")  # in Hydra's grammar, in any case


def promote(sweep: StoredSweep, name: str, conf: Path | None = None, trusted: Sequence[str] = ()) -> str:
    """Write the best configuration to `conf/experiment/NAME.yaml`; return the file with the command to run it.

    Args:
        sweep: may come from someone else, so its overrides are checked as a stored config is.
        name: of the experiment.
        conf: folder of config groups; by default, that of `--config-dir`, else the built-in one.
        trusted: packages that are allowed in addition.

    Raises:
        ConfigError: no job is completed, the name is invalid or exists, or an override cannot be in a file.
    """
    check_name(name)
    conf = conf or (added or [CONF_DIR])[0]
    file = conf / "experiment" / f"{name}.yaml"
    rows = sweep.rows
    if not rows or not rows[0].scores:
        raise config_error("SWEEP", sweep.folder, "no job is completed", "a sweep with a score")
    if file.exists():
        raise config_error("--promote", name, f"{file} already exists", "another name")
    winner = rows[0]
    replicates = [axis for axis in sweep.space.axes if is_replicate(axis)]
    overrides = OverridesParser.create().parse_overrides(list(winner.best.overrides))
    chosen = [override for override in overrides if override.get_key_element() not in replicates]
    defaults, values = split_overrides(chosen, conf)
    plain: Any = OmegaConf.to_container(values)
    check_stored(plain, trusted)
    check_paths(plain, Path("outputs"))
    keys = ", ".join(key.lstrip("+") for key in replicates)
    spread = f" ± {winner.std:.4f} over {len(winner.scores)} runs ({keys})" if len(winner.scores) > 1 else ""
    title = f"The best of {len(rows)} configurations of the sweep {sweep.folder.name}"
    comment = escape_controls(f"# {title}: {sweep.objective} {winner.mean:.4f}{spread}.", keep="")
    words = [*(["--config-dir", relative(conf)] if conf in added else []), f"experiment={name}"]
    command = shlex.join(["trainyard", *words] if conf in added else ["python", "train.py", *words])
    head = f"# @package _global_\n# {command}\n{comment}\n"
    body = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults})) if defaults else ""
    write_text(file, head + body + (OmegaConf.to_yaml(values) if values else ""))
    return f"{relative(file)}: {train_command(*words)}"


def check_name(name: str) -> None:
    """Raise a ConfigError if `experiment=NAME` would not load a file of conf/experiment."""
    check_path("--promote", f"{name}.yaml")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) or name.lower() in NOT_TEXT:
        accepted = "letters, digits, _ and -, beginning with a letter or _; not null, true, false, nan or inf"
        raise config_error("--promote", repr(name), "not a valid name of an experiment", accepted)


def split_overrides(overrides: Sequence[Override], conf: Path) -> tuple[list[object], DictConfig]:
    """Return the defaults list for config groups, and the values of other keys."""
    folders = [conf, *added, CONF_DIR]
    groups = {path.name for folder in folders for path in folder.iterdir() if path.is_dir()}
    allowed = {*map(str, load_root()), *groups} - {"defaults", "run", "sweep", "hydra"}
    defaults: list[object] = []
    values = OmegaConf.create({})
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if override.is_delete() or override.package is not None or key.partition(".")[0] not in allowed:
            problem = "cannot be part of an experiment's file"
            raise config_error("--promote", override.input_line, problem, "a winner without it")
        if not re.fullmatch(r"[\w/]+", key) or not any((folder / key).is_dir() for folder in folders):
            OmegaConf.update(values, key, value)
        elif not re.fullmatch(r"[\w/-]+", str(value)) or not is_option(key, value, folders):
            accepted = "a winner without it; or --config-dir FOLDER, if the option is your own"
            raise config_error("--promote", override.input_line, "unknown option", accepted)
        elif key == "experiment":
            defaults.insert(0, str(value))
        else:
            defaults.append({f"override /{key}": value})
    return defaults, values


def is_option(group: str, option: object, folders: Sequence[Path]) -> bool:
    """Return whether one of the folders has an option of a group."""
    return any((folder / group / f"{option}.yaml").is_file() for folder in folders)
