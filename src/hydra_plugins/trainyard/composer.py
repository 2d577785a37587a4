"""The configs of many jobs, most of which differ in values alone."""

import pickle
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict


class Composer:
    """Composes as Hydra's `load_sweep_config`, but reads and merges the files of the same options once.

    What options are chosen decides which files make a config; values are set in it afterwards, by Hydra too.

    Args:
        loader: Hydra's.
        master: the config of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self.loader = loader
        self.master = master
        self.parser = OverridesParser.create(config_loader=loader)
        self.parsed: dict[str, Override] = {}
        self.options: dict[str, bool] = {}  # whether a key is that of a config group
        self.merged: dict[tuple[str, ...], bytes] = {}  # configs by the options that are chosen
        self.composed: dict[tuple[str, ...], bytes] = {}  # in a hundredth of their size

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config that overrides make.

        Raises:
            hydra.errors.HydraException: one names no option or key, or cannot be read.
        """
        key = tuple(overrides)
        if key not in self.composed:
            self.composed[key] = pickle.dumps(self.with_values([self.parse(text) for text in key]))
        config: DictConfig = pickle.loads(self.composed[key])
        return config

    def parse(self, text: str) -> Override:
        """Return what an override says."""
        if text not in self.parsed:
            [self.parsed[text]] = self.parser.parse_overrides([text])
        return self.parsed[text]

    def with_values(self, overrides: Sequence[Override]) -> DictConfig:
        """Return the config of the options that overrides choose, with the values that they set."""
        options = [override for override in overrides if self.is_option(override)]
        chosen = tuple(str(override.input_line) for override in options)
        if chosen not in self.merged:
            self.merged[chosen] = pickle.dumps(self.loader.load_sweep_config(self.master, list(chosen)))
        config: DictConfig = pickle.loads(self.merged[chosen])
        values = [override for override in overrides if not self.is_option(override)]
        if isinstance(self.loader, ConfigLoaderImpl):
            self.loader.validate_sweep_overrides_legal(values, RunMode.RUN, from_shell=True)
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        self.note(config, overrides)
        return config

    def is_option(self, override: Override) -> bool:
        """Whether an override chooses an option of a group."""
        key = override.key_or_group
        if key not in self.options:
            self.options[key] = override.package is not None or bool(self.loader.get_group_options(key))
        return self.options[key]

    def note(self, config: DictConfig, overrides: Sequence[Override]) -> None:
        """Have a config tell by which overrides it was made, in their order."""
        hydra, own = config.hydra, [override for override in overrides if not override.is_hydra_override()]
        earlier = list(self.master.hydra.overrides.hydra)
        with open_dict(hydra):
            others = [str(override.input_line) for override in overrides if override.is_hydra_override()]
            hydra.overrides.hydra = [*earlier, *others]
            hydra.overrides.task = [str(override.input_line) for override in own]
            hydra.job.override_dirname = get_overrides_dirname(own, **hydra.job.config.override_dirname)
