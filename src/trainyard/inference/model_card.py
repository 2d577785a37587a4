"""The model card of an exported classifier: a page in Markdown (Mitchell et al. 2019, arXiv:1810.03993)."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from trainyard.data.loading.spec import DataSpec
from trainyard.history.stored_run import StoredRun
from trainyard.inference.export_formats import FORMATS
from trainyard.io.errors import join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import accuracy_interval
from trainyard.terminal.tables import escape_markdown, markdown_table

CARD = "model_card.md"
MAX_ROWS = 50  # of a table
LIMITS = """Scores hold for data like the test data. The model always predicts one of its classes, even if none fits.
Fairness was not tested. The file was compared with the checkpoint on one CPU only."""


def exported_files(path: Path) -> dict[str, Path]:
    """Return the files beside an exported one that have the same name, by format."""
    return {form: file for form, other in FORMATS.items() if (file := path.with_suffix(other.suffix)).is_file()}


def model_card(model: SupervisedModel, run: StoredRun | None, files: dict[str, Path], verified: str) -> str:
    """Return a page about the exported `files`, by format."""
    title = f"# Model card: {escape_markdown(run.name if run else 'a checkpoint without its run')}"
    size = sum(p.numel() for p in model.parameters())
    usage = [f"```python\n{FORMATS[form].usage.format(file=repr(path.name))}\n```" for form, path in files.items()]
    rows = [(number, escape_markdown(label)) for number, label in enumerate(model.spec.classes)]
    sections = {
        title: f"{type(model).__name__}, {size:,} parameters, written {datetime.now():%Y-%m-%d}.",
        "## Use": "\n\n".join([*usage, verified]),
        "## Input": describe_inputs(model.spec),
        "## Output": f"`probabilities`: float32 `[batch, {len(rows)}]`\n\n{first_rows(['number', 'class'], rows)}",
        **(describe_run(run) if run else {"## Training": "Unknown: the checkpoint is not in a run."}),
        "## Limits": LIMITS,
    }
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections.items()) + "\n"


def describe_inputs(spec: DataSpec) -> str:
    """Return a description of the raw inputs."""
    shape = ", ".join(map(str, spec.input_shape))
    if spec.kind == "images":
        low, high = spec.value_range or (0, 255)
        text = f"Values from {low:.9g} to {high:.9g} in the image files are pixels from 0 to 255."
        return f"`input`: uint8 `[batch, {shape}]`, not normalised. {text}"
    rows = []
    for number, (column, mean, std) in enumerate(zip(spec.columns, spec.mean, spec.std, strict=True)):
        codes = join_limited((f"{code} {level}" for code, level in enumerate(column.levels, start=1)), MAX_ROWS)
        values = escape_markdown(codes) if column.levels else f"{mean:.4g} ± {std:.4g}"
        rows.append((number, escape_markdown(column.name), values))
    text = f"`input`: float32 `[batch, {shape}]`, not normalised; NaN is a missing number, 0 a missing or new level."
    return f"{text}\n\n{first_rows(['column', 'name', 'values or codes'], rows)}"


def first_rows(columns: list[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of the first rows, and the number of further rows."""
    rest = f"\n\nAnd {len(rows) - MAX_ROWS} more (see the file's metadata)." if len(rows) > MAX_ROWS else ""
    return markdown_table(columns, rows[:MAX_ROWS]) + rest


def describe_run(run: StoredRun) -> dict[str, str]:
    """Return sections about training and scores."""
    splits = {name: part for name, part in (run.fingerprint or {}).items() if isinstance(part, dict)}
    scores = [f"- {escape_markdown(name)} {value:.4f}" for name, value in run.metrics.items()]
    examples, accuracy = splits.get("test", {}).get("examples"), run.metrics.get("test/acc", -1.0)
    if isinstance(examples, int) and 0 < examples < 1e9 and 0 <= accuracy <= 1:
        low, high = accuracy_interval(round(accuracy * examples), examples)
        scores.append(f"- 95 % interval of test/acc: [{low:.4f}, {high:.4f}] (Wilson, {examples} examples)")
    git = run.provenance.get("git")
    training = {
        "options": ", ".join(f"{group}={option}" for group, option in run.choices.items()),
        "overrides": " ".join(run.overrides) or "none",
        "commit": git.get("commit", "unknown") if isinstance(git, dict) else "unknown",
        "examples": ", ".join(f"{name} {part.get('examples')}" for name, part in splits.items()) or "unknown",
    }
    return {
        "## Training": "\n".join(f"- {name}: {escape_markdown(text)}" for name, text in training.items()),
        "## Scores": "\n".join(scores) or "Unknown.",
    }
