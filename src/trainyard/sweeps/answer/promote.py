"""The winner of a sweep as an experiment of its own."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from trainyard.config import CONF_DIR, CONFIG_NAME
from trainyard.errors import reject
from trainyard.files import check_path, write_text
from trainyard.sweeps.search_space import is_replicate
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.controls import escape_controls
from trainyard.trusted import check_stored
from trainyard.trusted_paths import check_paths

NO_TEXT = ("null", "true", "false", "nan", "inf")  # in Hydra's grammar, in any case


def promote(sweep: StoredSweep, name: str, conf: Path = CONF_DIR, trusted: Sequence[str] = ()) -> str:
    """Write `conf/experiment/NAME.yaml` with what the best configuration was composed of, and return what to type.

    Args:
        sweep: which may come from someone else, so that its overrides are checked as a stored config is.
        name: of the experiment.
        conf: folder of the config groups.
        trusted: packages that the person at the keyboard adds to the allowed ones.

    Raises:
        ConfigError: no job is completed, the name is taken or none, or an override has no place in a file.
    """
    check_name(name)
    file = conf / "experiment" / f"{name}.yaml"
    rows = sweep.rows
    if not rows or not rows[0].scores:
        raise reject("SWEEP", sweep.folder, "no job of it is completed", "a sweep with a score")
    if file.exists():
        raise reject("--promote", name, f"{file} is there already", "another name")
    winner = rows[0]
    repeats = [axis for axis in sweep.space.axes if is_replicate(axis)]
    overrides = OverridesParser.create().parse_overrides(list(winner.best.overrides))
    defaults, values = split([override for override in overrides if override.get_key_element() not in repeats], conf)
    check(values, trusted)
    keys = ", ".join(key.lstrip("+") for key in repeats)
    spread = f" ± {winner.std:.4f} over {len(winner.scores)} runs ({keys})" if len(winner.scores) > 1 else ""
    title = f"The best of {len(rows)} configurations of the sweep {sweep.folder.name}"
    comment = escape_controls(f"# {title}: {sweep.objective} {winner.mean:.4f}{spread}.", keep="")
    head = f"# @package _global_\n# python train.py experiment={name}\n{comment}\n"
    body = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults})) if defaults else ""
    write_text(file, head + body + (OmegaConf.to_yaml(values) if values else ""))
    return f"{file}: python train.py experiment={name}"


def check_name(name: str) -> None:
    """Raise a ConfigError where `experiment=NAME` would not be a file of conf/experiment, or no text to Hydra."""
    check_path("--promote", f"{name}.yaml")
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) and name.lower() not in NO_TEXT:
        return
    accepted = "letters, digits, _ and -, from a letter or _ on; not null, true, false, nan or inf"
    raise reject("--promote", repr(name), "no name of an experiment", accepted)


def split(overrides: list[Override], conf: Path) -> tuple[list[object], DictConfig]:
    """Return the options of groups as a defaults list, and the values of keys."""
    defaults: list[object] = []
    values = OmegaConf.create({})
    for override in overrides:
        key, value = override.key_or_group, override.value()
        group = conf / key if re.fullmatch(r"[\w/]+", key) else None
        if override.is_delete() or override.package is not None or key.partition(".")[0] not in known(conf):
            raise reject(
                "--promote", override.input_line, "it has no place in an experiment's file", "a winner without it"
            )
        if group and group.is_dir():
            if not re.fullmatch(r"[\w/-]+", str(value)) or not (group / f"{value}.yaml").is_file():
                raise reject("--promote", override.input_line, "there is no such option", "a winner without it")
            defaults.insert(0, str(value)) if key == "experiment" else defaults.append({f"override /{key}": value})
        else:
            OmegaConf.update(values, key, value)
    return defaults, values


def check(values: DictConfig, trusted: Sequence[str]) -> None:
    """Raise a ConfigError for values that an experiment must not take over from someone else's sweep."""
    plain: Any = OmegaConf.to_container(values)
    check_stored(plain, trusted)
    check_paths(plain, Path("outputs"))


def known(conf: Path) -> set[str]:
    """Return the keys and groups that an experiment may set: those of a run, but not of Hydra or of the sweep."""
    top = OmegaConf.load(CONF_DIR / f"{CONFIG_NAME}.yaml")
    groups = {folder.name for place in (conf, CONF_DIR) for folder in place.iterdir() if folder.is_dir()}
    return {*map(str, top), *groups} - {"defaults", "run", "sweep", "hydra"}
