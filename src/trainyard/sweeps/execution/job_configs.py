"""The configs of a sweep's jobs: Hydra composes each choice of options once, and values are set in copies of it."""

import pickle
import re
from collections.abc import Sequence
from functools import cache

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from trainyard.config.composition import parse_override

JOB_FOLDER = "hydra.sweep.subdir"  # differs between jobs


class JobConfigs:
    """Composes the configs of jobs.

    Hydra composes a config in two steps: the options that the overrides of groups choose determine the defaults list,
    then the other overrides set values, in their order. The first step takes a hundred times as long as the second,
    and many jobs share it. Whatever is not certain to be the same here is left to Hydra, and so are errors.

    Args:
        loader: of Hydra.
        config: of the sweep.
    """

    def __init__(self, loader: ConfigLoader, config: DictConfig) -> None:
        self.loader, self.config = loader, config
        self.bases: dict[tuple[str, ...], bytes] = {}  # pickled configs without values, by their overrides
        self.is_group = cache(self.find_group)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config of a job with Hydra's node; a HydraException for invalid overrides."""
        parsed = [*map(parse_override, overrides)]
        valid = [override for override in parsed if override]
        if len(valid) < len(parsed) or any(map(self.needs_hydra, valid)):
            return self.loader.load_sweep_config(self.config, list(overrides))
        try:
            return self.set_values(valid)
        except (OmegaConfBaseException, ValueError):  # Hydra describes it
            return self.loader.load_sweep_config(self.config, list(overrides))

    def needs_hydra(self, override: Override) -> bool:
        """Whether an override is neither that of a group or of a key in Hydra's node, nor changes a single value."""
        if override.is_hydra_override() or self.chooses_option(override):
            return override.is_sweep_override()
        return override.is_sweep_override() or override.package is not None or override.key_or_group == "hydra"

    def chooses_option(self, override: Override) -> bool:
        """Whether an override changes the defaults list."""
        return not isinstance(override.value(), dict) and self.is_group(override.key_or_group)

    def find_group(self, name: str) -> bool:
        """Whether a key is a config group, also in the folders of `hydra.searchpath`."""
        hydra = self.config.hydra
        options = self.loader.get_group_options(name, None, hydra.job.config_name, list(hydra.overrides.hydra))
        return bool(options)

    def set_values(self, overrides: Sequence[Override]) -> DictConfig:
        """Return the config of the chosen options, with the values of the other overrides."""
        of_hydra = [override for override in overrides if override.is_hydra_override()]
        folder = [override for override in of_hydra[-1:] if override.get_key_element() == JOB_FOLDER]
        task = [override for override in overrides if not override.is_hydra_override()]
        options = [override for override in task if self.chooses_option(override)]
        config = self.base([str(o.input_line) for o in (*options, *of_hydra[: len(of_hydra) - len(folder)])])
        for override in (*(override for override in task if override not in options), *folder):
            set_value(config, override)
        hydra = config.hydra
        hydra.overrides.hydra += [override.input_line for override in folder]
        hydra.overrides.task = [override.input_line for override in task]
        names = hydra.job.config.override_dirname
        words = sorted(str(o.input_line) for o in task if o.key_or_group not in names.exclude_keys)
        hydra.job.override_dirname = re.sub("=", names.kv_sep, names.item_sep.join(words))
        return config

    def base(self, overrides: Sequence[str]) -> DictConfig:
        """Return a copy of the config of overrides that Hydra composes, once."""
        key = tuple(overrides)
        if key not in self.bases:
            self.bases[key] = pickle.dumps(self.loader.load_sweep_config(self.config, list(key)))
        config: DictConfig = pickle.loads(self.bases[key])  # a copy in an eighth of the time of `deepcopy`
        return config


def set_value(config: DictConfig, override: Override) -> None:
    """Set, add or delete the value of an override as Hydra does; a ValueError if Hydra may reject it."""
    key, value = override.key_or_group, override.value()
    adds, deletes = override.is_add() and not isinstance(value, dict | list), override.is_delete()
    exists = (adds or deletes) and OmegaConf.select(config, key, throw_on_missing=False) is not None
    if (adds and exists) or (deletes and (value is not None or not exists)):
        raise ValueError(f"{key} exists, or does not exist, or only one value of it is deleted")
    if not deletes:
        OmegaConf.update(config, key, value, merge=True, force_add=override.is_add() or override.is_force_add())
        return
    parent, _, name = key.rpartition(".")
    with open_dict(config):
        del (OmegaConf.select(config, parent) if parent else config)[name]
