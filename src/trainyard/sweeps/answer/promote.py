"""The winner of a sweep as an experiment of its own."""

import re
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from trainyard.config import CONF_DIR
from trainyard.errors import reject
from trainyard.files import check_path, write_text
from trainyard.sweeps.search_space import is_replicate
from trainyard.sweeps.stored import StoredSweep

NO_TEXT = ("null", "true", "false", "nan", "inf")  # in Hydra's grammar, in any case


def promote(sweep: StoredSweep, name: str, conf: Path = CONF_DIR) -> str:
    """Write `conf/experiment/NAME.yaml` with what the best configuration was composed of, and return what to type.

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
    keys = ", ".join(key.lstrip("+") for key in repeats)
    spread = f" ± {winner.std:.4f} over {len(winner.scores)} runs ({keys})" if len(winner.scores) > 1 else ""
    head = (
        f"# @package _global_\n# python train.py experiment={name}\n"
        f"# The best of {len(rows)} configurations of the sweep {sweep.folder.name}: "
        f"{sweep.objective} {winner.mean:.4f}{spread}.\n"
    )
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
        if override.is_delete() or override.package is not None:
            raise reject(
                "--promote", override.input_line, "it has no place in an experiment's file", "a winner without it"
            )
        if key == "experiment":
            defaults.insert(0, str(value))
        elif (conf / key).is_dir():
            defaults.append({f"override /{key}": value})
        else:
            OmegaConf.update(values, key, value)
    return defaults, values
