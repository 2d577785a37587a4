"""How far a run is from another that should be the same: metrics, curves and weights, number by number."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainyard.history.run_curves import read_curves
from trainyard.stored.run import StoredRun

TOLERANCE = 1e-3  # of a number up to 1, and of a larger one relative to it


@dataclass(frozen=True)
class Difference:
    """Something that is not the same to the last bit.

    Attributes:
        where: it was found.
        gap: how large it is, relative to the larger of 1 and the first value; infinite where there is no telling.
    """

    where: str
    gap: float


def differences(one: StoredRun, other: StoredRun) -> list[Difference]:
    """Return all that differs between two runs, the largest first."""
    found = [*of_results(one, other), *of_curves(one, other), *of_weights(one, other)]
    return sorted(found, key=lambda difference: -difference.gap)


def verdict(found: list[Difference]) -> tuple[str, bool]:
    """Return the line that says what differences, largest first, amount to, and whether they can be lived with."""
    if not found:
        return "bitwise equal", True
    largest = f"largest difference {found[0].gap:.1e} in {found[0].where}"
    if found[0].gap <= TOLERANCE:
        return f"within tolerance ({largest})", True
    if math.isinf(found[0].gap):
        return f"differs: {found[0].where}", False
    return f"differs: {len(found)} value{'s' if len(found) > 1 else ''}, {largest}", False


def of_results(one: StoredRun, other: StoredRun) -> Iterator[Difference]:
    """Yield the metrics that differ, and the epochs."""
    for name in sorted({*one.metrics, *other.metrics}):
        yield from of_numbers(name, one.metrics.get(name), other.metrics.get(name))
    counts = [(run.result.get("epochs"), (run.result.get("objective") or {}).get("epoch")) for run in (one, other)]
    for name, ours, theirs in zip(("epochs", "the best epoch"), *counts, strict=True):
        if ours != theirs:
            yield Difference(f"{name}: {ours} and {theirs}", math.inf)


def of_curves(one: StoredRun, other: StoredRun) -> Iterator[Difference]:
    """Yield the points of the curves that differ."""
    ours, theirs = read_curves(one.folder), read_curves(other.folder)
    for name in sorted({*ours, *theirs}):
        left, right = ours.get(name, {}), theirs.get(name, {})
        for step in sorted({*left, *right}):
            yield from of_numbers(f"{name} at step {step}", left.get(step), right.get(step))


def of_weights(one: StoredRun, other: StoredRun) -> Iterator[Difference]:
    """Yield the tensors of the best checkpoint that differ; nothing where neither was kept."""
    kept = [run.checkpoint for run in (one, other) if run.checkpoint.is_file()]
    if len(kept) < 2:
        return
    ours, theirs = (dict(learned(torch.load(path, map_location="cpu", weights_only=True, mmap=True))) for path in kept)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        left, right = ours.get(name), theirs.get(name)
        if left is None or right is None or (left.shape, left.dtype) != (right.shape, right.dtype):
            yield Difference(f"{name} of the checkpoint, of another shape or kind", math.inf)
        elif not same_bits(left, right):
            gap = (left.double() - right.double()).abs() / left.double().abs().clamp(min=1)
            yield Difference(f"{name} of the checkpoint", float(gap.nan_to_num(math.inf).max()))


def learned(checkpoint: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a checkpoint that training has changed: weights, statistics and the optimizer's own."""
    for part in ("state_dict", "optimizer_states"):
        yield from tensors(checkpoint.get(part), part)


def tensors(node: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in nested dicts and lists, with its path."""
    if isinstance(node, Tensor):
        yield path, node
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for name, part in parts:
        yield from tensors(part, f"{path}.{name}" if path else str(name))


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of a shape and kind hold the same bytes."""
    left, right = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    return torch.equal(left, right)


def of_numbers(where: str, one: float | None, other: float | None) -> Iterator[Difference]:
    """Yield the difference of two numbers, if there is one; two that are none are the same."""
    if one is None or other is None:
        if one is not other:
            yield Difference(f"{where}, which one of them lacks", math.inf)
    elif one != other and not (math.isnan(one) and math.isnan(other)):
        gap = abs(one - other) / max(1.0, abs(one))
        yield Difference(f"{where}: {one} and {other}", math.inf) if math.isnan(gap) else Difference(where, gap)
