"""Evaluated examples that are identical to training examples of the run."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.statistics import example_digests, fingerprint
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.inference.evaluation_data import OWN_TEST_SPLIT, load_data
from trainyard.io.errors import ConfigError, config_error


def overlap_notes(data: DataModule, run: StoredRun, examples: str, trusted: Sequence[str] = ()) -> list[str]:
    """Return a line with the number of test examples that are identical to training examples of the run.

    The training examples are read again, since a run stores a single digest of all. For the run's own test split, the
    line is only for images: rows may be equal by chance.

    Args:
        data: has the `test` split.
        run: trained the model.
        examples: description of the test examples, see `load_evaluation_data`.
        trusted: packages that a stored config may name.
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
    if "root" in cfg.data and not Path(cfg.data.root).expanduser().is_dir():  # do not download it only to compare
        raise config_error("data.root", cfg.data.root, "no such folder")
    own = load_data(cfg, trusted, data.model_spec)
    if fingerprint(own)["train"] != expected:
        raise config_error("data", run.choices.get("data"), "its training examples are not those of the run")
    return own


def digests_by_format(data: DataModule, part: Examples) -> dict[tuple[object, ...], list[bytes]]:
    """Return a digest of each example: of its file, and of its values by their type and shape."""
    digests: dict[tuple[object, ...], list[bytes]] = {}
    if isinstance(data, ImageFolder):
        digests["file",] = data.file_digests(part)
    if isinstance(part.x, Tensor):
        digests[part.x.dtype, part.shape] = example_digests(part.x)
    return digests
