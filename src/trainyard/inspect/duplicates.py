"""Duplicate examples within a split and across splits, where they leak."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

from trainyard.data.images.folder_listing import list_folder
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.fingerprint import example_digests
from trainyard.data.loading.spec import Examples, MappedRows
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.terminal.tables import table

MAX_PAIRS = 12  # that are listed

Example = tuple[str, int]  # split and position
Pair = tuple[Example, Example]


def find_duplicates(splits: Mapping[str, Examples]) -> list[Pair]:
    """Return pairs of examples with the same content, each with the first such example of its split or earlier ones."""
    digests = {name: content_digests(part) for name, part in splits.items()}
    first_with: dict[str, dict[bytes, int]] = {name: {} for name in digests}
    for name, values in digests.items():
        for position, digest in enumerate(values):
            first_with[name].setdefault(digest, position)
    found = []
    for one, other in combinations_with_replacement(digests, 2):
        for position, digest in enumerate(digests[other]):
            first = first_with[one].get(digest)
            if first is not None and (one, first) != (other, position):
                found.append(((one, first), (other, position)))
    return found


def content_digests(part: Examples) -> list[bytes]:
    """Return a digest of each example."""
    assert not isinstance(part.x, MappedRows)
    return example_digests(part.x)


def duplicate_table(splits: Mapping[str, Examples], pairs: Sequence[Pair]) -> str:
    """Return the number of pairs within each split and across splits, and the number of contradicting labels."""
    counts = Counter((one, other) for (one, _), (other, _) in pairs)
    rows = []
    for one, other in combinations_with_replacement(splits, 2):
        leak = "leak: scored on training examples" if one == "train" != other and counts[one, other] else ""
        rows.append((f"within {one}" if one == other else f"{other} in {one}", counts[one, other], leak))
    text = table(["duplicates", "pairs", ""], rows, right=["pairs"])
    labels = {name: part.y.tolist() for name, part in splits.items()}
    wrong = sum(labels[one][i] != labels[other][j] for (one, i), (other, j) in pairs)
    return f"{text}\n{wrong} of them with different labels" if wrong else text


def describe_pairs(data: DataModule, pairs: Sequence[Pair]) -> str:
    """Return a line for each of the first pairs, leaks before pairs within a split."""
    files = list_folder(data.root).files if isinstance(data, ImageFolder) else []

    def name(example: Example) -> str:
        """Return the file of an example, its row counted from 1, or its position in the split."""
        split, position = example
        ids = data.splits[split].ids
        if ids is None:
            return f"{split} {position}"
        number = int(ids[position])
        return str(files[number].path) if files else f"{split} row {number + 1}"

    rows = []
    for first, second in sorted(pairs, key=lambda pair: (pair[0][0] == pair[1][0], pair[1][0]))[:MAX_PAIRS]:
        splits = " in ".join(dict.fromkeys((second[0], first[0])))
        rows.append((splits, f"{name(second)} = {name(first)}"))
    return table(["", ""], rows)
