"""The examples on which a trained model is evaluated."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from trainyard.config.arguments import check_arguments
from trainyard.config.composition import instantiate
from trainyard.config.trusted import DATA, check_stored, check_target
from trainyard.config.trusted_paths import check_download, own_cache
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import DataSpec, Examples
from trainyard.data.loading.statistics import fingerprint
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier

# Keys of `data` that split or load the examples, but do not choose other ones.
LOADING_KEYS = (
    *("batch_size", "default_batch_size", "resident", "resident_limit", "num_workers", "val_fraction", "test_fraction"),
    *("train_fraction", "folds", "fold", "class_weights", "sampler", "seed", "cache", "on_error"),
)
DATA_MODULE = replace(DATA, bases=("trainyard.data.loading.datamodule.DataModule",))
OWN_TEST_SPLIT = "test split"


def load_evaluation_data(
    cfg: DictConfig, run: StoredRun, spec: DataSpec, trusted: Sequence[str] = ()
) -> tuple[DataModule, str]:
    """Return data whose `test` split is to be evaluated, and a description of it.

    This is the run's own test split if its content has not changed, even if the file was moved. With another file,
    folder or amount of data, it is all of these examples, or their own test split if they have one.

    Raises:
        ConfigError: the data is missing, has changed since the run, or does not fit the model.
    """
    changes = changed_values(cfg, run)
    data = load_data(cfg, trusted, spec)
    try:
        same = fingerprint(data).get("test") == (run.fingerprint or fingerprint(data)).get("test")
        if same and data.spec.input_shape == spec.input_shape and data.spec.classes == spec.classes:
            return data, OWN_TEST_SPLIT
    except ConfigError:
        if not changes:
            raise
    if not changes:
        problem = "its test examples differ from those of the run, which may have been trained on some of them"
        accepted = "the unchanged data and split, or other data by data.path=FILE or data.root=FOLDER"
        raise config_error("data", run.choices.get("data"), problem, accepted)
    split, examples = match_examples(data, spec)
    data.splits = {"test": examples}
    return data, f"{split} of {', '.join(f'data.{key!s}={value!s}' for key, value in changes.items())}"


def changed_values(cfg: DictConfig, run: StoredRun) -> dict[str, Any]:
    """Return the values that choose other data; a new `data.path` also drops the stored `data.test_path`."""
    stored: dict[str, Any] = run.config["data"]
    now: Any = OmegaConf.to_container(cfg.data)
    changes = {key: value for key, value in now.items() if value != stored.get(key) and key not in LOADING_KEYS}
    if "path" in changes and "test_path" not in changes and stored.get("test_path"):
        cfg.data.test_path = None
    return changes


def load_data(cfg: DictConfig, trusted: Sequence[str], spec: DataSpec | None = None) -> DataModule:
    """Build the data of a stored config, encoded as in the training of the model with this `spec`."""
    kind = check_target("data._target_", cfg.data.get("_target_"), DATA_MODULE, trusted)
    check_stored({"data": OmegaConf.to_container(cfg.data)}, trusted)
    check_arguments(OmegaConf.masked_copy(cfg, ["data"]))
    if "cache" in cfg.data:
        cfg.data.cache = own_cache()  # the stored path may belong to another user
    check_download(cfg.data, kind)
    data: DataModule = instantiate(cfg.data, augment=None, order_seed=cfg.seed)
    data.model_spec = spec
    return data


def match_examples(data: DataModule, spec: DataSpec) -> tuple[str, Examples]:
    """Return other examples with the labels of a model, and which part of the data they are."""
    parts = data.read()
    split = next(name for name in ("test", "val", "train") if name in parts)
    examples = parts[split]
    if examples.shape != spec.input_shape:
        shapes = ["x".join(map(str, shape)) for shape in (examples.shape, spec.input_shape)]
        raise config_error("data", shapes[0], "the inputs differ from those of the model", shapes[1])
    if unknown := [name for name in data.classes if name not in spec.classes]:
        raise config_error(
            "data", join_limited(unknown), "classes that the model does not know", join_limited(spec.classes)
        )
    labels = torch.tensor([spec.classes.index(name) for name in data.classes])
    return "all" if split == "train" else f"{split} split", replace(examples, y=labels[examples.y])


def load_model_and_data(name: str, trusted: Sequence[str] = ()) -> tuple[Classifier, DataModule]:
    """Return the model of a run and its data."""
    run, checkpoint = find_run_and_checkpoint(name)
    model = load_classifier(checkpoint, trusted)
    return model, load_data(config_to_test(run, trusted=trusted), trusted, model.spec)
