"""The cache of features that a frozen backbone computes from each example."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainyard.data.cache import error_reason, load_or_create, lock_cache
from trainyard.data.loading.spec import Examples, MappedRows
from trainyard.data.loading.statistics import DIGEST_SIZE, example_digests
from trainyard.io.errors import config_error
from trainyard.terminal.display import progress_counter

FORMAT = 1  # of the cache; a new number invalidates older entries

Backbone = Callable[[Tensor], Tensor]
"""Images uint8 `[B, C, H, W]` on the CPU -> features float32 `[B, F]` on the CPU."""


@dataclass(frozen=True)
class Features:
    """The features of the examples of each split."""

    splits: Mapping[str, MappedRows]
    computed: bool  # in this run, instead of loaded from the cache


def cached_features(
    splits: Mapping[str, Examples], backbone: Backbone, key: str, cache: Path, batch_size: int
) -> Features:
    """Return the features of all images, from the cache if they were computed before.

    Equal images share a row, and their order does not matter: different splits of the same data share an entry. The
    `key` describes the backbone's weights and everything else that the features depend on.

    Raises:
        ConfigError: the disk is full.
        OSError: an image is unreadable.
    """
    digests = {name: example_digests(part.x) for name, part in splits.items()}  # type: ignore[arg-type]  # images
    examples = hashlib.sha256(b"".join(sorted({digest for part in digests.values() for digest in part})))
    examples.update(f"{FORMAT} {key}".encode())
    name = examples.hexdigest()[:20]
    created: list[Path] = []

    def create(draft: Path) -> None:
        compute_features(splits, digests, backbone, batch_size, draft)
        created.append(draft)

    with lock_cache(cache, f"{name}.lock", "features are computed in each run") as folder:
        try:
            table, order = load_or_create(folder / name, create, load_features)
        except OSError as error:
            if error.errno is None:  # of an image
                raise
            problem = f"cannot be written ({error_reason(error)})"
            accepted = "a folder on a disk with more space, or callbacks.feature_cache=null to disable the cache"
            raise config_error("callbacks.feature_cache.folder", folder, problem, accepted) from error
    row = {digest: number for number, digest in enumerate(order)}
    rows = {split: torch.tensor([row[digest] for digest in part]) for split, part in digests.items()}
    return Features({split: MappedRows(table, index) for split, index in rows.items()}, bool(created))


def compute_features(
    splits: Mapping[str, Examples],
    digests: Mapping[str, Sequence[bytes]],
    backbone: Backbone,
    batch_size: int,
    folder: Path,
) -> None:
    """Write the features of all distinct examples, and their digests in the same order, to a folder."""
    first: dict[bytes, tuple[str, int]] = {}  # where each example occurs first
    for name, part in digests.items():
        for position, digest in enumerate(part):
            first.setdefault(digest, (name, position))
    with (
        progress_counter("computing features", len(first), "images") as add,
        (folder / "features.npy").open("wb") as file,
    ):
        for name, examples in splits.items():
            positions = [position for split, position in first.values() if split == name]
            for start in range(0, len(positions), batch_size):
                images, _ = examples.__getitems__(positions[start : start + batch_size])
                features = backbone(images).contiguous().numpy()
                if file.tell() == 0:
                    header = {"descr": "<f4", "fortran_order": False, "shape": (len(first), features.shape[1])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(features.tobytes())  # writing to a memory map would kill the process on a full disk
                add(len(images))
    np.save(folder / "digests.npy", np.frombuffer(b"".join(first), np.uint8).reshape(-1, DIGEST_SIZE))


def load_features(entry: Path) -> tuple[Tensor, list[bytes]]:
    """Return the memory-mapped features of an entry, and the digest of each row."""
    table, digests = (np.load(entry / file, mmap_mode="c") for file in ("features.npy", "digests.npy"))
    if len(table) != len(digests):
        raise ValueError(f"{entry} is damaged")
    return torch.from_numpy(table), [digest.tobytes() for digest in digests]
