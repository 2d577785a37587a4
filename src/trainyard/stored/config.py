"""The config of a run from its directory, which may come from someone else."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from trainyard.config import leaves
from trainyard.errors import did_you_mean, reject
from trainyard.quoting import parse_single
from trainyard.ranges import check_ranges
from trainyard.stored.run import StoredRun
from trainyard.stored.trusted import check_package

MOST_NODES = 20_000  # a YAML of a few lines can stand for billions
OF_USE = ("data", "trainer", "augment")  # what a trained model is tested on, where, and changed in which ways
ACCEPTED = "data.KEY=VALUE, trainer.accelerator=cpu, trainer.precision=32-true, and augment.KEY=VALUE for --tta"


def stored_config(run: StoredRun, overrides: Sequence[str] = (), trusted: Sequence[str] = ()) -> DictConfig:
    """Return the config of a run with what was typed now in place of what it says.

    Nothing is built or imported: all that it names must belong to a known package (see `trainyard.stored.trusted`), and
    there is nothing in it to be interpolated, which could read the environment.

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
    parts = {key: part for key, part in stored.items() if key != "sweep"}  # never built, and names Optuna's
    check(parts, trusted)
    cfg: DictConfig = OmegaConf.create(parts)
    for word in overrides:
        override(cfg, word)
    check_ranges(OmegaConf.masked_copy(cfg, [key for key in OF_USE if key in cfg]))
    return cfg


def check(stored: dict[str, Any], trusted: Sequence[str]) -> None:
    """Raise a ConfigError for the first thing in a config, plain, that a stored one may not hold."""
    waiting: list[tuple[str, Any]] = [("", stored)]
    for _ in range(MOST_NODES):
        if not waiting:
            return
        path, node = waiting.pop()
        if isinstance(node, str) and "${" in node:
            raise reject(path, node, "a stored config has nothing to be interpolated", "a value")
        if path.rpartition(".")[2] == "_target_":
            check_package(path, node, trusted)
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, part in pairs:
            if isinstance(key, str) and "${" in key:
                raise reject(path, key, "a stored config has nothing to be interpolated", "a name")
            waiting.append((f"{path}.{key}" if path else str(key), part))
    raise reject("RUN", "config.yaml", f"more than {MOST_NODES} values, which no run has", "a config of train.py")


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
