"""The config of a stored run, with overrides; the directory may come from someone else."""

from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from trainyard.config.composition import leaves
from trainyard.config.constraints import check_ranges
from trainyard.config.override_syntax import parse_single
from trainyard.config.trusted import NOT_BUILT, check_stored
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import config_error, did_you_mean

OF_USE = ("data", "trainer", "augment")  # a trained model is tested with these
ACCEPTED = "data.KEY=VALUE, trainer.accelerator=cpu, trainer.precision=32-true, and augment.KEY=VALUE for --tta"


def stored_config(run: StoredRun, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with overrides, for testing its model.

    Nothing is instantiated. Every `_target_` is of an allowed kind and package, see `trainyard.config.trusted`. There
    are no interpolations, which could read the environment.

    Args:
        run: as stored.
        overrides: `key=value`, of keys in the config.
        trusted: packages that the user allows in addition.

    Raises:
        ConfigError: the config is missing or damaged, contains something forbidden, or an override does not fit.
    """
    stored = run.config
    if "seed" not in stored or not all(isinstance(stored.get(key), dict) for key in ("data", "trainer", "run")):
        raise config_error("RUN", run.name, "its config.yaml is missing or damaged", "a directory that train.py wrote")
    check_stored(stored, trusted, NOT_BUILT)
    cfg: DictConfig = OmegaConf.create({key: part for key, part in stored.items() if key not in NOT_BUILT})
    for word in overrides:
        override = parse_single(word, "override", ACCEPTED)
        key = override.key_or_group
        root = key.partition(".")[0]
        if root == "trusted_packages":
            raise config_error(
                "override", word, "it is an option, so that no file can set it", "--trusted-packages NAME"
            )
        if root not in OF_USE or "." not in key:
            options = [path for path, _ in leaves(cfg) if path.startswith(OF_USE) and path.endswith(key)]
            near = did_you_mean(key, options) or (f"; did you mean {options[0]}?" if options else "")
            problem = f"not used by a trained model{near}"
            raise config_error(key, override.get_value_element_as_str(), problem, ACCEPTED)
        apply_override(cfg, override, ACCEPTED)
    check_ranges(OmegaConf.masked_copy(cfg, [key for key in OF_USE if key in cfg]))
    return cfg


def apply_override(cfg: DictConfig, override: Override, accepted: str) -> None:
    """Set the value of an override; raise a ConfigError for a key that the stored config lacks, unless `+` adds it."""
    key = override.key_or_group
    known = {path for path, _ in leaves(cfg)}
    if key not in known and not override.is_add() and OmegaConf.select(cfg, key) is None:
        problem = f"the stored config has no such key{did_you_mean(key, known)}"
        raise config_error(key, override.get_value_element_as_str(), problem, accepted)
    OmegaConf.update(cfg, key, override.value(), force_add=True)
