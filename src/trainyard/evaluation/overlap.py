"""Whether a model is tested on examples that its own run was trained on."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import example_digests, fingerprint
from trainyard.data.loading.spec import Examples
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.errors import ConfigError, reject
from trainyard.evaluation.data_to_test import OWN, source
from trainyard.history.stored_config import stored_config
from trainyard.history.stored_run import StoredRun


def overlap_notes(data: DataModule, run: StoredRun, which: str, trusted: Sequence[str] = ()) -> list[str]:
    """Return a line that counts the tested examples that are identical to training examples of the run.

    A run keeps one digest of all its training examples, so they are read again; where that is not possible, the line
    says so. For the run's own test split there is a line only if its images overlap: rows may be equal by chance.

    Args:
        data: whose `test` split the model is tested on.
        run: whose model it is.
        which: what the tested examples are, see `trainyard.evaluation.data_to_test.data_to_test`.
        trusted: packages that a stored config may name beside the known ones.
    """
    tested, foreign = data.splits["test"], which != OWN
    if not foreign and data.kind != "images":
        return []
    try:
        own = training_data(data, run, trusted)
        known, found = contents_of(own, own.splits["train"]), contents_of(data, tested)
    except (ConfigError, OSError):
        known, found = {}, {}
    kinds = known.keys() & found.keys()
    if not kinds:
        unknown = "overlap    unknown: the training examples of the run are missing, changed or in another format"
        return [unknown] if foreign else []
    trained = {kind: set(known[kind]) for kind in kinds}
    count = sum(any(found[kind][place] in trained[kind] for kind in kinds) for place in range(len(tested)))
    line = f"overlap    {count or 'none'} of {len(tested)} examples identical to training examples of the run"
    return [line] if foreign or count else []


def training_data(data: DataModule, run: StoredRun, trusted: Sequence[str]) -> DataModule:
    """Return the data with the training examples of a run: those at hand, or those of its config.

    Raises:
        ConfigError: they are not there, or have changed since.
    """
    noted = (run.fingerprint or {}).get("train")
    if "train" in data.splits and fingerprint(data)["train"] == noted:
        return data
    cfg = stored_config(run, trusted=trusted)
    if "root" in cfg.data and not Path(cfg.data.root).expanduser().is_dir():  # nothing is downloaded to compare
        raise reject("data.root", cfg.data.root, "there is no such folder")
    own = source(cfg, trusted, data.model_spec)
    if fingerprint(own)["train"] != noted:
        raise reject("data", run.choices.get("data"), "its training examples are not those of the run")
    return own


def contents_of(data: DataModule, part: Examples) -> dict[tuple[object, ...], list[bytes]]:
    """Return a digest of each example by its format: of its file, and of its values, with their type and shape."""
    found: dict[tuple[object, ...], list[bytes]] = {}
    if isinstance(data, ImageFolder):
        found["file",] = data.file_digests(part)
    if isinstance(part.x, Tensor):
        found[part.x.dtype, part.shape] = example_digests(part.x)
    return found
