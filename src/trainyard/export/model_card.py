"""What a person should know of an exported model before it is used (Mitchell et al. 2019, arXiv:1810.03993)."""

import platform
from datetime import datetime
from pathlib import Path

from trainyard.data.loading.spec import DataSpec
from trainyard.evaluation.kept_predictions import read_predictions
from trainyard.evaluation.markdown import markdown_table
from trainyard.export.markdown_text import literal
from trainyard.export.run_record import data, scores, training
from trainyard.export.snippets import SNIPPETS
from trainyard.history.stored_run import StoredRun
from trainyard.models.classifier import Classifier

FEW = 50  # classes and columns that are listed


def model_card(model: Classifier, run: StoredRun | None, files: dict[str, Path], verified: str) -> str:
    """Return a page in Markdown.

    Args:
        model: that was exported.
        run: that trained it; `None` where there is only a checkpoint.
        files: those that lie beside the card, by format.
        verified: how the newest was compared with the checkpoint.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    name = run.name if run else "a checkpoint without its run"
    size = f"{type(model).__name__}, {parameters:,} parameters"
    sections = {
        f"Model card: {literal(name)}": f"{size}, written {datetime.now():%Y-%m-%d}.",
        "Files": "\n".join(
            f"- {literal(path.name)} ({form}, {path.stat().st_size:,} bytes)" for form, path in files.items()
        ),
        "Use": "\n\n".join(SNIPPETS[form].format(file=repr(path.name)) for form, path in files.items()),
        "Verified": verified,
        "Input": inputs(model.spec),
        "Classes": classes(model.spec, run),
        "Data": data(run),
        "Scores": scores(run),
        "Training": training(run),
        "Limits": limits(model.spec),
    }
    first, *rest = (
        f"{'#' if not number else '##'} {head}\n\n{text}" for number, (head, text) in enumerate(sections.items())
    )
    return "\n\n".join([first, *rest]) + "\n"


def inputs(spec: DataSpec) -> str:
    """Return what the model takes: raw values, since normalisation is inside."""
    shape = ", ".join(map(str, spec.input_shape))
    if spec.kind == "images":
        return (
            f"`input`: uint8 `[batch, {shape}]`, pixels from 0 (black) to 255, channels first. Normalisation is inside."
            f"{deep_images(spec)}"
        )
    rows = [
        (number, literal(column.name), literal(codes(column.levels)) if column.levels else f"{mean:.4g} ± {std:.4g}")
        for number, (column, mean, std) in enumerate(zip(spec.columns, spec.mean, spec.std, strict=True))
    ]
    note = "NaN is a missing number, 0 a missing or unknown level. Normalisation is inside."
    if any(column.part for column in spec.columns):
        note += " Of dates, months and days count from 1, weekdays from 0 (Monday), `days` from 1970-01-01."
    table = markdown_table(["column", "name", "in training"], rows[:FEW])
    return f"`input`: float32 `[batch, {shape}]`, the columns in this order. {note}\n\n{table}{more(len(rows))}"


def deep_images(spec: DataSpec) -> str:
    """Return how values of more than 8 bits became pixels, if training had such images."""
    if not spec.value_range:
        return ""
    low, high = spec.value_range
    pixel = f"round(255 * (value - {low:.9g}) / {high - low:.9g})"
    return f" Values of images with more than 8 bits per channel become pixels by `{pixel}`, cut to 0 to 255."


def codes(levels: tuple[str, ...]) -> str:
    """Return the codes of a category, from 1."""
    shown = ", ".join(f"{number} {level}" for number, level in enumerate(levels[:FEW], start=1))
    return shown + (f" and {len(levels) - FEW} more (in the file's metadata)" if len(levels) > FEW else "")


def more(count: int) -> str:
    """Return what stands below a table that shows the first few of so many."""
    return f"\n\nAnd {count - FEW} more (in the file's metadata)." if count > FEW else ""


def classes(spec: DataSpec, run: StoredRun | None) -> str:
    """Return the names, in the order of the probabilities, with what the run kept of its validation examples."""
    counts = validation_counts(spec, run)
    head = ["probability", "class", *(["validation examples", "right"] if counts else [])]
    rows = [
        (number, literal(name), *(counts.get(name, (0, 0)) if counts else ()))
        for number, name in enumerate(spec.classes[:FEW])
    ]
    what = f"`probabilities`: float32 `[batch, {len(spec.classes)}]`; they sum to 1."
    return f"{what}\n\n{markdown_table(head, rows)}{more(len(spec.classes))}"


def validation_counts(spec: DataSpec, run: StoredRun | None) -> dict[str, tuple[int, int]]:
    """Return how many validation examples of each class there were, and were right; nothing where that is unknown."""
    kept = read_predictions(run.folder) if run else None
    if kept is None or tuple(kept.classes) != spec.classes or not len(kept.labels):
        return {}
    if kept.labels.min() < 0 or kept.labels.max() >= len(spec.classes):
        return {}
    return {name: (examples, right) for name, (right, examples) in kept.by_class().items()}


def limits(spec: DataSpec) -> str:
    """Return what nobody has tried."""
    what = "pictures" if spec.kind == "images" else "rows"
    return (
        f"Scores hold for {what} like those it was tested on, no others. One of the {len(spec.classes)} classes always "
        "wins: it cannot say that it knows none of them. Nobody has looked at whether it treats some people worse. The "
        f"file was compared with the checkpoint on one processor ({literal(platform.machine())}) and random inputs, "
        "not on GPUs or phones, and not in lower precision."
    )
