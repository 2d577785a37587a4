"""The data of a run: splits, classes, statistics, columns, and what lies in it twice."""

from omegaconf import DictConfig

from trainyard.data.loading.datamodule import DataModule
from trainyard.show.class_counts import class_counts
from trainyard.show.columns import columns
from trainyard.show.contact_sheet import draw_images
from trainyard.show.duplicates import Duplicates, duplicates_of
from trainyard.show.histograms import draw_columns
from trainyard.show.pairs import draw_pairs, names_in, pairs_text, some_pairs
from trainyard.untrained import data_of


def show(cfg: DictConfig) -> None:
    """Print what the data holds, and draw examples of each class, or the columns of a table.

    Raises:
        ConfigError: something in the config cannot work.
    """
    data = data_of(cfg)
    found = duplicates_of(data.splits)
    print(text(data, cfg.run.choices.data), duplicates(found), sep="\n\n", end="\n\n")
    if pairs := some_pairs(found):
        name = names_in(data)
        print(pairs_text(pairs, name), end="\n\n")
        if data.kind == "images":
            draw_pairs(data, pairs, name)
    if data.kind == "images":
        draw_images(data, cfg.seed)
    else:
        draw_columns(data)


def text(data: DataModule, name: str) -> str:
    """Return what the data is, its classes, and its columns, in paragraphs."""
    spec = data.spec
    shape = "x".join(map(str, spec.input_shape))
    inputs = f"images {shape}" if data.kind == "images" else f"rows of {shape} columns"
    lines = [f"{name:<12} {inputs}, {len(spec.classes)} classes"]
    if data.kind == "images":
        mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (spec.mean, spec.std))
        lines.append(f"{'channels':<12} mean {mean}, std {std} in train (0 is black, 1 is white)")
    if spec.value_range:
        low, high = spec.value_range
        mean = " ".join(f"{low + value * (high - low):.5g}" for value in spec.mean)
        std = " ".join(f"{value * (high - low):.5g}" for value in spec.std)
        lines.append(f"{'values':<12} {low:.7g} (black) to {high:.7g} (white) in the files; mean {mean}, std {std}")
    paragraphs = ["\n".join(lines), class_counts(data.splits, spec.classes)]
    if data.kind == "rows":
        paragraphs.append(columns(data))
    return "\n\n".join(paragraphs)


def duplicates(found: Duplicates) -> str:
    """Return how many examples are there twice, within each split and across them."""
    lines = [f"{'duplicates':<14} {'exact':>7}" + (f" {'alike':>7}" if found.alike is not None else "")]
    for (first, second), pairs in found.exact.items():
        place = f"within {first}" if first == second else f"{second} in {first}"
        alike = "" if found.alike is None else f" {len(found.alike[first, second]):>7}"
        leak = "  a leak: it is scored on what it has learned" if first == "train" != second and pairs else ""
        lines.append(f"{place:<14} {len(pairs):>7}{alike}{leak}")
    if found.contradictions:
        lines.append(f"{found.contradictions} of these exact pairs have two classes")
    return "\n".join(lines)
