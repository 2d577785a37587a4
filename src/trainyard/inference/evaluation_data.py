"""The examples on which a trained model is evaluated, and which of them it was trained on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import DataSpec, Examples
from trainyard.data.loading.statistics import example_digests, fingerprint
from trainyard.data.loading.target import Classes
from trainyard.data.sources.image_source import ImageSource
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import NOT_INTERPRETED, has_report, load_supervised_model
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.reports.mistakes import WorstExamples
from trainyard.reports.split_predictions import SplitPredictions
from trainyard.run.rebuild import build_stored_data

# Keys of `data` that split or load the examples, but do not choose other ones.
LOADING_KEYS = (
    *("batch_size", "default_batch_size", "resident", "resident_limit", "num_workers", "val_fraction", "test_fraction"),
    *("train_fraction", "folds", "fold", "class_weights", "sampler", "seed", "cache", "on_error"),
)
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
    if "path" in changes and "test_path" not in changes and "test_path" in cfg.data:
        cfg.data.test_path = None  # the stored one belongs to the stored path
    data = load_data(cfg, trusted, spec)
    try:
        if has_own_test_split(data, run, spec):
            return data, OWN_TEST_SPLIT
    except ConfigError:  # other data may be too small to be split
        if not changes:
            raise
    if not changes:
        problem = "its test examples differ from those of the run, which may have been trained on some of them"
        accepted = "the unchanged data and split, or other data by data.path=FILE or data.root=FOLDER"
        raise config_error("data", run.choices.get("data"), problem, accepted)
    split, examples = match_examples(data, spec)
    data.splits = {"test": examples}
    return data, f"{split} of {', '.join(f'data.{key!s}={value!s}' for key, value in changes.items())}"


def has_own_test_split(data: DataModule, run: StoredRun, spec: DataSpec) -> bool:
    """Return whether the test split is that of a run, as far as the run has stored a fingerprint of it."""
    interfaces = [(each.input_shape, type(each.target), each.target.names) for each in (data.spec, spec)]
    if interfaces[0] != interfaces[1]:
        return False
    return not run.fingerprint or fingerprint(data)["test"] == run.fingerprint.get("test")


def changed_values(cfg: DictConfig, run: StoredRun) -> dict[str, Any]:
    """Return the values that choose other data than those of the run."""
    stored: dict[str, Any] = run.config["data"]
    now: Any = OmegaConf.to_container(cfg.data)
    return {key: value for key, value in now.items() if value != stored.get(key) and key not in LOADING_KEYS}


def load_data(cfg: DictConfig, trusted: Sequence[str], spec: DataSpec | None = None) -> DataModule:
    """Build the data of a stored config, encoded as in the training of the model with this `spec`."""
    data = build_stored_data(OmegaConf.masked_copy(cfg, ["data", "seed"]), trusted, DataModule)
    assert isinstance(data, DataModule)
    data.model_spec = spec
    return data


def match_examples(data: DataModule, spec: DataSpec) -> tuple[str, Examples]:
    """Return other examples with the labels of a model, and which part of the data they are."""
    parts = data.read()
    split = next(name for name in ("test", "val", "train") if name in parts)
    examples, which = parts[split], "all" if split == "train" else f"{split} split"
    if examples.shape != spec.input_shape:
        shapes = ["x".join(map(str, shape)) for shape in (examples.shape, spec.input_shape)]
        raise config_error("data", shapes[0], "the inputs differ from those of the model", shapes[1])
    if not isinstance(spec.target, Classes):  # whose data reads the columns of the model
        return which, examples
    if unknown := [name for name in data.classes if name not in spec.classes]:
        raise config_error(
            "data", join_limited(unknown), "classes that the model does not know", join_limited(spec.classes)
        )
    labels = torch.tensor([spec.classes.index(name) for name in data.classes])
    return which, replace(examples, y=labels[examples.y])


def worst_examples(predictions: SplitPredictions, data: DataModule) -> WorstExamples | None:
    """Return the test examples with the worst predictions; `None` for classes, whose report counts mistakes."""
    if isinstance(predictions, ClassPredictions):
        return None
    positions, part = predictions.worst(), data.splits["test"]
    ids = positions if part.ids is None else part.ids[positions].tolist()
    inputs, _ = part.__getitems__(positions)
    assert data.model_spec, "set by load_data"
    return WorstExamples(positions, example_names(data, ids), inputs.cpu(), data.model_spec)


def example_names(data: DataModule, ids: Sequence[int]) -> list[str]:
    """Return the files of examples by their `ids`, or their numbers in the source from 1."""
    if isinstance(data, ImageSource):
        return [data.name_of(number) for number in ids]
    return [f"{'row' if data.kind == 'rows' else 'image'} {number + 1}" for number in ids]


def load_model_and_data(name: str, trusted: Sequence[str] = ()) -> tuple[SupervisedModel, DataModule]:
    """Return the model of a run and its data."""
    run, checkpoint = find_run_and_checkpoint(name)
    cfg = config_to_test(run, trusted=trusted)
    if not has_report(cfg, trusted):
        raise config_error("RUN", name, NOT_INTERPRETED, "a run of a model of Trainyard on images or rows")
    model = load_supervised_model(checkpoint, trusted)
    return model, load_data(cfg, trusted, model.spec)


def overlap_notes(data: DataModule, run: StoredRun, examples: str, trusted: Sequence[str] = ()) -> list[str]:
    """Return a line with the number of test examples that are identical to training examples of the run.

    The training examples are read again, since a run stores a single digest of all. For the run's own test split, the
    line is only for images: rows may be equal by chance. `examples` describes the split, see `load_evaluation_data`.
    """
    foreign = examples != OWN_TEST_SPLIT
    if not foreign and data.kind != "images":
        return []
    try:
        own = load_training_data(data, run, trusted)
        train, test = digests_by_format(own, own.splits["train"]), digests_by_format(data, data.splits["test"])
    except (ConfigError, OSError):
        train, test = {}, {}
    formats = train.keys() & test.keys()
    if not formats:
        unknown = "overlap    unknown: the training examples of the run are missing, changed or in another format"
        return [unknown] if foreign else []
    known = {kind: set(train[kind]) for kind in formats}
    total = len(data.splits["test"])
    count = sum(any(test[kind][number] in known[kind] for kind in formats) for number in range(total))
    line = f"overlap    {count or 'none'} of {total} examples identical to training examples of the run"
    return [line] if foreign or count else []


def load_training_data(data: DataModule, run: StoredRun, trusted: Sequence[str]) -> DataModule:
    """Return data with the training examples of a run: the given data if it contains them, or that of its config.

    Raises:
        ConfigError: they are missing or have changed.
    """
    expected = (run.fingerprint or {}).get("train")
    if "train" in data.splits and fingerprint(data)["train"] == expected:
        return data
    cfg = config_to_test(run, trusted=trusted)
    if data.downloads and not Path(cfg.data.root).expanduser().is_dir():  # do not download it only to compare
        raise config_error("data.root", cfg.data.root, "no such folder")
    own = load_data(cfg, trusted, data.model_spec)
    if fingerprint(own)["train"] != expected:
        raise config_error("data", run.choices.get("data"), "its training examples are not those of the run")
    return own


def digests_by_format(data: DataModule, part: Examples) -> dict[tuple[object, ...], list[bytes]]:
    """Return a digest of each example: of its file, and of its values by their type and shape."""
    digests: dict[tuple[object, ...], list[bytes]] = {}
    if isinstance(data, ImageSource):
        digests["file",] = data.file_digests(part)
    if isinstance(part.x, Tensor):
        digests[part.x.dtype, part.shape] = example_digests(part.x)
    return digests
