"""Which examples are there twice, named and drawn."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from trainyard.data.images.folder_listing import list_folder
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.figures import save
from trainyard.show.contact_sheet import images, strip
from trainyard.show.duplicates import Duplicates

SHOWN = 12
ACROSS = 4
NAME = 32  # characters

Name = Callable[[str, int], str]


@dataclass(frozen=True)
class Pair:
    """Two examples that are `exact`ly the same, or `alike`, each by its split and its position there."""

    kind: str
    first: tuple[str, int]
    second: tuple[str, int]


def some_pairs(found: Duplicates) -> list[Pair]:
    """Return the first pairs of those that are found: exact ones before others, and of each what leaks into test."""
    kinds = {"exact": found.exact, "alike": found.alike or {}}
    return list(islice(ordered(kinds), SHOWN))


def ordered(kinds: dict[str, dict[tuple[str, str], list[tuple[int, int]]]]) -> Iterator[Pair]:
    """Yield all pairs."""
    for kind, places in kinds.items():
        for (one, other), pairs in sorted(places.items(), key=lambda item: (item[0][0] == item[0][1], item[0][1])):
            for first, second in pairs:
                yield Pair(kind, (one, first), (other, second))


def names_in(data: DataModule) -> Name:
    """Return what names an example of a split: its file, its row counted from 1, or its place in the split."""
    files = list_folder(data.root).files if isinstance(data, ImageFolder) else []

    def name(split: str, position: int) -> str:
        ids = data.splits[split].ids
        if ids is None:
            return f"{split} {position}"
        number = int(ids[position])
        return str(files[number].path) if files else f"{split} row {number + 1}"

    return name


def pairs_text(pairs: Sequence[Pair], name: Name) -> str:
    """Return a line a pair."""
    lines = []
    for pair in pairs:
        places = " in ".join(dict.fromkeys((pair.second[0], pair.first[0])))
        lines.append(f"{pair.kind:<6} {places:<14} {name(*pair.second)} = {name(*pair.first)}")
    return "\n".join(lines)


@rc_context({"text.parse_math": False})  # a $ in a name is a $
def draw_pairs(data: DataModule, pairs: Sequence[Pair], name: Name) -> None:
    """Draw pairs of images beside each other."""
    across = min(ACROSS, len(pairs))
    rows = math.ceil(len(pairs) / across)
    figure = Figure(figsize=(2.6 * across, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, across, squeeze=False).flatten()
    for number, axis in enumerate(axes):
        axis.set_axis_off()
        if number < len(pairs):
            pair = pairs[number]
            both = [images(data.splits[split], torch.tensor([place])) for split, place in (pair.first, pair.second)]
            axis.imshow(strip(torch.cat(both), 2).numpy())
            names = [f"{split}: {name(split, place)[-NAME:]}" for split, place in (pair.first, pair.second)]
            axis.set_title("\n".join([pair.kind, *names]), fontsize=7)
    save(figure, "show/pairs.png")
