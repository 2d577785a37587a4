"""The config of a run from its directory, which may come from someone else."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from trainyard.config import leaves
from trainyard.errors import did_you_mean, reject
from trainyard.quoting import parse_single
from trainyard.ranges import check_ranges
from trainyard.stored.run import StoredRun
from trainyard.stored.trusted import check_stored

UNBUILT = ("sweep",)  # whose sampler belongs to the sweep around a run
OF_USE = ("data", "trainer", "augment")  # what a trained model is tested on, where, and changed in which ways
ACCEPTED = "data.KEY=VALUE, trainer.accelerator=cpu, trainer.precision=32-true, and augment.KEY=VALUE for --tta"


def stored_config(run: StoredRun, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with what was typed now in place of what it says.

    Nothing is built; all that it names must be of an allowed kind and package (see `trainyard.stored.trusted`), and it
    contains no interpolations, which could read the environment.

    Args:
        run: as it lies on disk.
        overrides: `key=value`, of keys that the config has.
        trusted: packages that the person at the keyboard adds.

    Raises:
        ConfigError: it is missing or damaged, names what it may not, or an override does not fit.
    """
    stored = run.config
    whole = "seed" in stored and all(isinstance(stored.get(key), dict) for key in ("data", "trainer", "run"))
    if not whole:
        raise reject("RUN", run.name, "its config.yaml is missing or damaged", "a directory that train.py wrote")
    check_stored(stored, trusted, UNBUILT)
    cfg: DictConfig = OmegaConf.create({key: part for key, part in stored.items() if key not in UNBUILT})
    for word in overrides:
        override(cfg, word)
    check_ranges(OmegaConf.masked_copy(cfg, [key for key in OF_USE if key in cfg]))
    return cfg


def override(cfg: DictConfig, word: str) -> None:
    """Put one typed value in its place."""
    parsed = parse_single(word, "override", ACCEPTED)
    key = parsed.key_or_group
    root = key.partition(".")[0]
    if root == "trusted_packages":
        raise reject("override", word, "it is an option, so that no file can set it", "--trusted-packages NAME")
    if root not in OF_USE or "." not in key:
        options = [path for path, _ in leaves(cfg) if path.startswith(OF_USE) and path.endswith(key)]
        near = did_you_mean(key, options) or (f"; did you mean {options[0]}?" if options else "")
        raise reject(key, parsed.get_value_element_as_str(), f"of no use to a trained model{near}", ACCEPTED)
    known = {path for path, _ in leaves(cfg)}
    if key not in known and not parsed.is_add() and OmegaConf.select(cfg, key) is None:
        problem = f"the stored config has no such key{did_you_mean(key, known)}"
        raise reject(key, parsed.get_value_element_as_str(), problem, ACCEPTED)
    OmegaConf.update(cfg, key, parsed.value(), force_add=True)
