"""The model card of an exported model: a page in Markdown (Mitchell et al. 2019, arXiv:1810.03993)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import nn

from trainyard.config.objective import metric_name
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.history.stored_run import StoredRun, as_dict
from trainyard.inference.export_formats import FORMATS
from trainyard.inference.export_interface import output_name
from trainyard.io.errors import join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import accuracy_interval
from trainyard.terminal.formats import describe_prediction
from trainyard.terminal.tables import escape_markdown, markdown_table

CARD = "model_card.md"
MAX_ROWS = 50  # of a table
LIMITS = """Scores hold for data like the test data. {limit}
Fairness was not tested. The file was compared with the checkpoint on one CPU only."""
LIMIT: dict[type[Target], str] = {
    Classes: "The model always predicts one of its classes, even if none fits.",
    Numbers: "Predictions for inputs that differ from the training data may be far off.",
    Labels: "The model predicts no labels other than its own.",
}


def exported_files(path: Path) -> dict[str, Path]:
    """Return the files beside an exported one that have the same name, by format."""
    return {form: file for form, other in FORMATS.items() if (file := path.with_suffix(other.suffix)).is_file()}


def model_card(model: SupervisedModel, run: StoredRun | None, files: dict[str, Path], verified: str) -> str:
    """Return a page about the exported `files`, by format."""
    target = model.spec.target
    usages = ((FORMATS[form].usage, path) for form, path in files.items())
    code = [usage.format(file=repr(path.name), output=output_name(target)) for usage, path in usages]
    sections = {
        "## Input": describe_inputs(model.spec),
        "## Output": describe_outputs(model),
        **(describe_run(run) if run else {"## Training": "Unknown: the checkpoint is not in a run."}),
        "## Limits": LIMITS.format(limit=LIMIT[type(target)]),
    }
    return card_page(model, run.name if run else "a checkpoint without its run", code, verified, sections)


def card_page(model: nn.Module, name: str, code: Sequence[str], verified: str, sections: Mapping[str, str]) -> str:
    """Return the page about the model of a run: code that uses its files, how they were verified, further sections."""
    size = sum(p.numel() for p in model.parameters())
    first = {
        f"# Model card: {escape_markdown(name)}": (
            f"{type(model).__name__}, {size:,} parameters, written {datetime.now():%Y-%m-%d}."
        ),
        "## Use": "\n\n".join([*(f"```python\n{text}\n```" for text in code), verified]),
    }
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in {**first, **sections}.items()) + "\n"


def describe_outputs(model: SupervisedModel) -> str:
    """Return a description of the outputs: what each column is, and how to decide by probabilities."""
    target = model.spec.target
    names = [(number, escape_markdown(name)) for number, name in enumerate(target.names)]
    shape = f"`{output_name(target)}`: float32 `[batch, {len(names)}]`"
    if isinstance(target, Numbers):
        log = f" of {'the logarithm' if target.transform == 'log' else 'the number'}"
        moments = [f"{mean:.4g} ± {std:.4g}" for mean, std in zip(target.mean, target.std, strict=True)]
        rows = [(*name, moment) for name, moment in zip(names, moments, strict=True)]
        text = "in the units of the training data"
        return f"{shape}, {text}\n\n{first_rows(['number', 'target', f'mean ± std{log} in training'], rows)}"
    thresholds = model.task.thresholds
    if thresholds and isinstance(target, Labels):
        rows = [(*name, f"{least:.4g}") for name, least in zip(names, thresholds, strict=True)]
        text = "A label is predicted if its probability is at least its threshold."
        return f"{shape}. {text}\n\n{first_rows(['number', 'label', 'threshold'], rows)}"
    text = ""
    if thresholds:
        text = f". Class 1 is predicted if its probability is at least {thresholds[0]:.4g}, otherwise class 0."
    return f"{shape}{text}\n\n{first_rows(['number', target.noun], names)}"


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
    git = run.provenance.get("git")
    training = {
        "options": ", ".join(f"{group}={option}" for group, option in run.choices.items()),
        "overrides": " ".join(run.overrides) or "none",
        "commit": git.get("commit", "unknown") if isinstance(git, dict) else "unknown",
        "examples": ", ".join(f"{name} {part.get('examples')}" for name, part in splits.items()) or "unknown",
    }
    return {
        "## Training": "\n".join(f"- {name}: {escape_markdown(text)}" for name, text in training.items()),
        "## Scores": describe_scores(run, splits.get("test", {}).get("examples")),
    }


def describe_scores(run: StoredRun, examples: Any) -> str:
    """Return a table of the scores, the objective first, beside those of the simplest prediction.

    Args:
        run: a stored run, whose values may be damaged.
        examples: the number of test examples, as far as it is known.
    """
    objective = as_dict(run.result.get("objective")).get("name")
    baseline = as_dict(run.result.get("baseline"))
    names = sorted(run.metrics, key=lambda name: metric_name(name) != metric_name(str(objective)))
    if not names:
        return "Unknown."
    columns = [
        ("score", [*map(escape_markdown, names)]),
        ("model", [score_cell(run.metrics[name]) for name in names]),
    ]
    scores = [score_cell(baseline.get(name)) for name in names]
    if any(scores):
        columns.append(("baseline", scores))
    headers, cells = zip(*columns, strict=True)
    table = markdown_table(headers, zip(*cells, strict=True))
    notes = [f"The best epoch was selected by {escape_markdown(objective)}."] if objective else []
    notes += [f"The baseline is a constant prediction: {escape_markdown(describe_prediction(baseline))}."] * any(scores)
    accuracy = run.metrics.get("test/acc", -1.0)
    if isinstance(examples, int) and 0 < examples < 1e9 and 0 <= accuracy <= 1:
        low, high = accuracy_interval(round(accuracy * examples), examples)
        notes.append(f"95 % interval of test/acc: [{low:.4f}, {high:.4f}] (Wilson, {examples} examples).")
    return "\n\n".join([table, *notes])


def score_cell(value: Any) -> str:
    """Return a score as text; empty if it is not a number."""
    return f"{value:.4g}" if isinstance(value, int | float) else ""
