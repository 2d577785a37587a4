"""What a frozen backbone makes of every example, computed once and kept on disk for all runs that ask for the same."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainyard.data.content import SIZE, example_digests
from trainyard.data.kept import held, kept, why
from trainyard.data.mapped_rows import MappedRows
from trainyard.data.spec import Examples
from trainyard.errors import ConfigError, reject
from trainyard.terminal.display import progress_counter

FORMAT = 1  # of the cache; a new number invalidates older entries
FILES = ("features.npy", "digests.npy")

Backbone = Callable[[Tensor], Tensor]
"""Images uint8 `[B, C, H, W]` on the CPU -> features float32 `[B, F]` on the CPU."""


@dataclass(frozen=True)
class Features:
    """The features of the examples of each split.

    Attributes:
        splits: mapped from disk.
        seconds: that the backbone took for them, in this run or an earlier one.
        computed: whether it was in this run.
    """

    splits: Mapping[str, MappedRows]
    seconds: float
    computed: bool


def features_of(splits: Mapping[str, Examples], backbone: Backbone, key: str, cache: Path, batch_size: int) -> Features:
    """Return the features of all examples, from the cache where the same were computed before.

    Equal examples have one row, and the order of the examples does not matter, so that other splits of the same data
    share them. Two processes that ask at once compute once: the second waits.

    Args:
        splits: images.
        backbone: makes features of a batch of them.
        key: of its weights, and of all else that its features depend on.
        cache: folder.
        batch_size: images that it takes at once.

    Raises:
        ConfigError: the disk is full.
        OSError: an image is gone.
    """
    digests = {name: example_digests(part.x) for name, part in splits.items()}  # type: ignore[arg-type]  # images yet
    examples = hashlib.sha256(b"".join(sorted({digest for part in digests.values() for digest in part})))
    examples.update(f"{FORMAT} {key}".encode())
    name = examples.hexdigest()[:20]
    started = time.perf_counter()
    computed: list[float] = []

    def fill(draft: Path) -> None:
        compute(splits, digests, backbone, batch_size, draft)
        computed.append(time.perf_counter() - started)
        (draft / "about.json").write_text(json.dumps({"key": key, "seconds": computed[0]}), encoding="utf-8")

    with held(cache, f"{name}.lock", "features are computed in each run") as folder:
        try:
            table, order, seconds = kept(folder / name, fill, load)
        except OSError as error:
            if error.errno is None:  # of an image, which it names
                raise
            raise unwritable(folder, error) from error
    row = {digest: number for number, digest in enumerate(order)}
    rows = {split: torch.tensor([row[digest] for digest in part]) for split, part in digests.items()}
    return Features({split: MappedRows(table, index) for split, index in rows.items()}, seconds, bool(computed))


def unwritable(folder: Path, error: OSError) -> ConfigError:
    """Return the error that says that features cannot be kept."""
    accepted = "a folder on a disk with more room; or callbacks.feature_cache=null, to run the backbone in each epoch"
    return reject("callbacks.feature_cache.folder", folder, f"cannot be written ({why(error)})", accepted)


def compute(
    splits: Mapping[str, Examples],
    digests: Mapping[str, Sequence[bytes]],
    backbone: Backbone,
    batch_size: int,
    folder: Path,
) -> None:
    """Write the features of all examples, equal ones once, and their digests in the same order, into a folder.

    A terminal shows the progress.
    """
    chosen = first_positions(digests)
    total = sum(map(len, chosen.values()))
    with progress_counter("computing features", total, "images") as add, (folder / "features.npy").open("wb") as file:
        for name, positions in chosen.items():
            for start in range(0, len(positions), batch_size):
                images, _ = splits[name].__getitems__(positions[start : start + batch_size])
                features = backbone(images).contiguous().numpy()
                if file.tell() == 0:
                    header = {"descr": "<f4", "fortran_order": False, "shape": (total, features.shape[1])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(features.tobytes())  # not through a map: on a full disk that would end the process
                add(len(images))
    order = b"".join(digests[name][position] for name, found in chosen.items() for position in found)
    np.save(folder / "digests.npy", np.frombuffer(order, np.uint8).reshape(-1, SIZE))


def first_positions(digests: Mapping[str, Sequence[bytes]]) -> dict[str, list[int]]:
    """Return where each split holds examples that no earlier place holds."""
    seen: set[bytes] = set()
    first: dict[str, list[int]] = {name: [] for name in digests}
    for name, part in digests.items():
        for position, digest in enumerate(part):
            if digest not in seen:
                seen.add(digest)
                first[name].append(position)
    return first


def load(entry: Path) -> tuple[Tensor, list[bytes], float]:
    """Return the table that a folder of the cache holds, mapped, the digest of each row, and the seconds it took."""
    about = json.loads((entry / "about.json").read_text(encoding="utf-8"))
    table, digests = (np.load(entry / file, mmap_mode="c") for file in FILES)
    if len(table) != len(digests):
        raise ValueError(f"{entry} is damaged")
    return torch.from_numpy(table), [digest.tobytes() for digest in digests], about["seconds"]
