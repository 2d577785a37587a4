"""The examples that a trained model is tested on: those of its run, or all of other data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from trainyard.arguments import check_arguments, parameters
from trainyard.config import instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import fingerprint
from trainyard.data.loading.spec import DataSpec, Examples
from trainyard.errors import ConfigError, listing, reject
from trainyard.history.stored_run import StoredRun
from trainyard.trusted import DATA, check_stored, check_target
from trainyard.trusted_paths import check_download, own_cache

# Keys of `data` that say how it is divided and served, not what it is.
SERVING = (
    *("batch_size", "default_batch_size", "resident", "resident_limit", "num_workers", "val_fraction", "test_fraction"),
    *("train_fraction", "folds", "fold", "class_weights", "sampler", "seed", "cache", "on_error"),
)
OURS = replace(DATA, bases=("trainyard.data.loading.datamodule.DataModule",))
SPLITS = ("test", "val", "train")
OWN = "test split"  # that of the run


def data_to_test(
    cfg: DictConfig, run: StoredRun, spec: DataSpec, trusted: Sequence[str] = ()
) -> tuple[DataModule, str]:
    """Return data whose `test` split a model is to be tested on, and what it consists of.

    That is the run's own test split where it is still what it was, wherever it lies now. Where another file, folder
    or amount of data was typed, it is all of these examples, or their own test split where they set one apart.

    Args:
        cfg: of the run, with what was typed (see `trainyard.history.stored_config`).
        run: whose model it is.
        spec: of the model.
        trusted: packages beside the known ones.

    Raises:
        ConfigError: the data is missing, has changed since the run, or does not fit the model.
    """
    other = changed(cfg, run)
    if "_target_" in other:
        drop_stored_keys(cfg, run, trusted)
    data = source(cfg, trusted, spec)
    try:
        same = fingerprint(data).get("test") == (run.fingerprint or fingerprint(data)).get("test")
        if same and data.spec.input_shape == spec.input_shape and data.spec.classes == spec.classes:
            return data, OWN
    except ConfigError:
        if not other:
            raise
    if not other:
        problem = "its test examples are not those of the run, which may have been trained on some"
        accepted = "the data and the split as they were, or other data by data.path=FILE or data.root=FOLDER"
        raise reject("data", run.choices.get("data"), problem, accepted)
    split, examples = as_trained(data, spec)
    data.splits = {"test": examples}
    return data, f"{split} of {', '.join(f'data.{key!s}={value!s}' for key, value in other.items())}"


def changed(cfg: DictConfig, run: StoredRun) -> dict[str, Any]:
    """Return the values that make it other data; a table of test rows goes with its table of training rows."""
    stored: dict[str, Any] = run.config["data"]
    now: Any = OmegaConf.to_container(cfg.data)
    found = {key: value for key, value in now.items() if value != stored.get(key) and key not in SERVING}
    if "path" in found and "test_path" not in found and stored.get("test_path"):
        cfg.data.test_path = None
    return found


def drop_stored_keys(cfg: DictConfig, run: StoredRun, trusted: Sequence[str]) -> None:
    """Take out what the run's own source of data took and the one that was typed does not."""
    kind = check_target("data._target_", cfg.data.get("_target_"), OURS, trusted)
    for key, value in run.config["data"].items():
        if not key.startswith("_") and key not in parameters(kind)[0] and OmegaConf.select(cfg.data, key) == value:
            del cfg.data[key]


def source(cfg: DictConfig, trusted: Sequence[str], known: DataSpec | None = None) -> DataModule:
    """Build the data, if a stored config may name them; what they cache goes where this person's things go.

    Args:
        cfg: of a run.
        trusted: packages beside the known ones.
        known: what the trained model knows: examples are read as it has learned them, without advice on training.

    Raises:
        ConfigError: another class, or a download to a place that nobody at the keyboard has chosen.
    """
    kind = check_target("data._target_", cfg.data.get("_target_"), OURS, trusted)
    check_stored({"data": OmegaConf.to_container(cfg.data)}, trusted)
    check_arguments(OmegaConf.masked_copy(cfg, ["data"]))
    if "cache" in cfg.data:
        cfg.data.cache = own_cache()
    check_download(cfg.data, kind)
    data: DataModule = instantiate(cfg.data, augment=None, order_seed=cfg.seed)
    data.model_spec = known
    return data


def as_trained(data: DataModule, spec: DataSpec) -> tuple[str, Examples]:
    """Return the examples of other data as a model has learned them, and which ones they are.

    Raises:
        ConfigError: columns, classes or shapes that the model does not know.
    """
    parts = data.read()
    split = next(name for name in SPLITS if name in parts)
    examples = parts[split]
    if examples.shape != spec.input_shape:
        shapes = ["x".join(map(str, shape)) for shape in (examples.shape, spec.input_shape)]
        raise reject("data", shapes[0], "other inputs than those of the model", shapes[1])
    if strange := [name for name in data.classes if name not in spec.classes]:
        raise reject("data", listing(strange), "classes that the model does not know", listing(spec.classes))
    place = torch.tensor([spec.classes.index(name) for name in data.classes])
    which = "all" if split == "train" else f"{split} split"
    return which, replace(examples, y=place[examples.y])
