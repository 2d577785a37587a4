"""What a person should know of an exported model before it is used (Mitchell et al. 2019, arXiv:1810.03993)."""

from datetime import datetime
from pathlib import Path
from typing import Any

from trainyard.data.spec import DataSpec
from trainyard.evaluation.interval import accuracy_interval
from trainyard.evaluation.markdown import cell, markdown_table
from trainyard.export.snippets import SNIPPETS
from trainyard.history.data_changes import fingerprint_of
from trainyard.models.classifier import Classifier
from trainyard.stored_run import StoredRun

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
        f"Model card: {cell(name)}": f"{size}, written {datetime.now():%Y-%m-%d}.",
        "Files": "\n".join(f"- `{path.name}` ({form}, {path.stat().st_size:,} bytes)" for form, path in files.items()),
        "Use": "\n\n".join(SNIPPETS[form].format(file=path.name) for form, path in files.items()),
        "Verified": verified,
        "Input": inputs(model.spec),
        "Classes": classes(model.spec),
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
        )
    rows = [
        (number, column.name, f"{mean:.4g} ± {std:.4g}" if not column.levels else codes(column.levels))
        for number, (column, mean, std) in enumerate(zip(spec.columns, spec.mean, spec.std, strict=True))
    ]
    note = "NaN is a missing number, 0 a missing or unknown level. Normalisation is inside."
    table = markdown_table(["column", "name", "in training"], rows)
    return f"`input`: float32 `[batch, {shape}]`, the columns in this order. {note}\n\n{table}"


def codes(levels: tuple[str, ...]) -> str:
    """Return the codes of a category, from 1."""
    shown = ", ".join(f"{number} {level}" for number, level in enumerate(levels[:FEW], start=1))
    return shown + (f" and {len(levels) - FEW} more (in the file's metadata)" if len(levels) > FEW else "")


def classes(spec: DataSpec) -> str:
    """Return the names, in the order of the probabilities."""
    rest = f" and {len(spec.classes) - FEW} more (in the file's metadata)" if len(spec.classes) > FEW else ""
    names = ", ".join(f"{number} {cell(name)}" for number, name in enumerate(spec.classes[:FEW]))
    return f"`probabilities`: float32 `[batch, {len(spec.classes)}]`; they sum to 1.\n\n{names}{rest}"


def data(run: StoredRun | None) -> str:
    """Return what it was trained on, as far as the run tells."""
    if run is None:
        return "Unknown: the checkpoint lies in no run."
    rows: list[tuple[Any, ...]] = [
        (split, part.get("examples"), f"{part.get('least')} to {part.get('most')}")
        for split, part in (fingerprint_of(run) or {}).items()
    ]
    named = f"`{cell(run.choices.get('data', 'unknown'))}`"
    return f"{named}\n\n{markdown_table(['split', 'examples', 'examples a class'], rows)}" if rows else named


def scores(run: StoredRun | None) -> str:
    """Return the scores of the run, and how sure its test accuracy is."""
    if run is None or not run.metrics:
        return "Unknown."
    lines = [f"- {name} {value:.4f}" for name, value in run.metrics.items()]
    examples = (fingerprint_of(run) or {}).get("test", {}).get("examples")
    accuracy = run.metrics.get("test/acc")
    if accuracy is not None and isinstance(examples, int) and examples:
        low, high = accuracy_interval(round(accuracy * examples), examples)
        lines.append(f"- test/acc lies in [{low:.4f}, {high:.4f}] with 95 % (bootstrap, {examples} examples)")
    return "\n".join(lines)


def training(run: StoredRun | None) -> str:
    """Return how it came about."""
    if run is None:
        return "Unknown."
    git = run.provenance.get("git") or {}
    changed = " with uncommitted changes" if git.get("uncommitted_patch") else ""
    chosen = ", ".join(f"{group}={option}" for group, option in run.choices.items())
    typed = " ".join(run.overrides) or "nothing"
    return "\n".join(
        f"- {name}: {cell(text)}"
        for name, text in (
            ("typed", typed),
            ("chosen", chosen),
            ("commit", f"{git.get('commit', 'unknown')}{changed}"),
            ("torch", run.provenance["packages"].get("torch", "unknown")),
            ("started", run.provenance.get("started", "unknown")),
        )
    )


def limits(spec: DataSpec) -> str:
    """Return what nobody has tried."""
    what = "pictures" if spec.kind == "images" else "rows"
    return (
        f"Scores hold for {what} like those it was tested on, no others. One of the {len(spec.classes)} classes always "
        "wins: it cannot say that it knows none of them. Nobody has looked at whether it treats some people worse."
    )
