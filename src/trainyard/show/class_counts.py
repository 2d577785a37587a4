"""How many examples of each class lie in each split."""

from collections.abc import Mapping, Sequence

import torch

from trainyard.data.loading.spec import Examples

ALL, SOME = 20, 5  # classes of which each has a row; of more, so many of the most and of the least frequent


def class_counts(splits: Mapping[str, Examples], classes: Sequence[str]) -> str:
    """Return a row a class, the most frequent first where not all are shown: its examples and their share."""
    counts = torch.stack([part.y.bincount(minlength=len(classes)) for part in splits.values()]).T  # [K, splits]
    sizes = counts.sum(0).tolist()
    rows = [("", [f"{name:>9}     " for name in splits]), ("examples", [f"{size:>9,}     " for size in sizes])]
    frequent = counts[:, 0].argsort(descending=True, stable=True).tolist()
    everything = len(classes) <= ALL
    for label in range(len(classes)) if everything else [*frequent[:SOME], *frequent[-SOME:]]:
        cells = [f"{count:>9,} {count / size:>4.0%}" for count, size in zip(counts[label].tolist(), sizes, strict=True)]
        rows.append((classes[label], cells))
    if not everything:
        rows.insert(2 + SOME, (f"... {len(classes) - 2 * SOME} more classes", []))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}} {' '.join(cells)}".rstrip() for name, cells in rows)
