"""Exports a trained model with a model card, and compares the exported model with the checkpoint."""

import importlib.util
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor

from trainyard.data.loading.spec import DataSpec
from trainyard.history.find_run import find_checkpoint, run_at
from trainyard.history.stored_run import StoredRun
from trainyard.inference.export_formats import FORMATS, random_inputs
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.extras import describe_missing
from trainyard.io.files import check_path, output_folder, relative, replacing, write_text
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import accuracy_interval, load_classifier
from trainyard.terminal.tables import escape_markdown, markdown_table

TOLERANCE = 1e-4
BATCHES = (1, 7)  # batch sizes at which an exported model is compared with its checkpoint
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
CARD = "model_card.md"
MAX_ROWS = 50  # of a table
LIMITS = """Scores hold for data like the test data. The model always predicts one of its classes, even if none fits.
Fairness was not tested. The file was compared with the checkpoint on one CPU only."""


def export_run(name: str, form: str, output: Path | None = None, trusted: Sequence[str] = ()) -> list[str]:
    """Export the best model of a run, or a checkpoint, with a model card, and return the lines of a summary.

    Without `output`, the file is written into `export/` in the run or beside the checkpoint.

    Raises:
        ConfigError: the run is missing or cannot be exported; nothing is written then.
    """
    check_packages(form)
    checkpoint = find_checkpoint(name)
    run = run_at(checkpoint) if checkpoint.suffix else None
    model = load_classifier(checkpoint, trusted)
    path = output_path(output, checkpoint, run, FORMATS[form].suffix)
    try:
        difference = export(model, form, path)
    except BaseException:
        if output is None:
            with suppress(OSError):  # the folder contains other files
                path.parent.rmdir()
        raise
    tested = f"by {FORMATS[form].runtime} at batches of {' and '.join(map(str, BATCHES))}"
    verified = (
        f"`{path.name}` was verified {tested}: the largest difference of a probability from the checkpoint's is "
        f"{difference:.2g} (at most {TOLERANCE:g} is accepted)."
    )
    files = {key: file for key, other in FORMATS.items() if (file := path.with_suffix(other.suffix)).is_file()}
    write_text(path.with_name(CARD), model_card(model, run, files, verified))
    shape = ", ".join(map(str, model.spec.input_shape))
    kind = "uint8" if model.spec.kind == "images" else "float32"
    return [
        f"model      {run.name if run else relative(checkpoint)} ({type(model).__name__})",
        f"input      {kind} [batch, {shape}], raw; output probabilities of {len(model.spec.classes)} classes",
        f"verified   {tested}: largest difference {difference:.2g}",
        f"written    {relative(path)} ({path.stat().st_size:,} bytes), {CARD}",
    ]


def output_path(output: Path | None, checkpoint: Path, run: StoredRun | None, suffix: str) -> Path:
    """Return the path of the file to write."""
    if output is None:
        home = run.folder if run else checkpoint.absolute().parent
        return output_folder(home, "export") / f"model{suffix}"
    check_path("--output", str(output))
    if output.suffix != suffix:
        raise config_error(
            "--output", output, f"the extension of this format is {suffix}", str(output.with_suffix(suffix))
        )
    if output.exists() and output.samefile(checkpoint):
        raise config_error("--output", output, "it is the checkpoint itself", "another file")
    return output


def export(model: Classifier, form: str, path: Path) -> float:
    """Write a model to a file, which replaces `path` only if its outputs are those of the model.

    Returns the largest difference of any probability, over batches of several sizes.

    Raises:
        ConfigError: the model cannot be written in this format, or the outputs differ.
    """
    try:
        with replacing(path) as draft:
            draft.touch()  # an OSError is clearer than the errors of the exporters
            difference = write_and_compare(model, form, draft)
            if not difference <= TOLERANCE:
                runtime = FORMATS[form].runtime
                problem = f"the probabilities in {runtime} differ by {difference:.2g}; the file is removed"
                raise config_error("--format", form, problem, f"a difference of at most {TOLERANCE:g}")
    except OSError as error:
        accepted = "a file in a folder that you may write to"
        raise config_error("--output", path, f"cannot be written ({error.strerror})", accepted) from error
    return difference


def write_and_compare(model: Classifier, form: str, draft: Path) -> float:
    """Write a file and return the largest difference of its outputs from those of the model."""
    inputs = [random_inputs(model.spec, count) for count in BATCHES]
    with torch.no_grad():
        expected = [model.predict_step(x, 0) for x in inputs]
    try:
        FORMATS[form].write(model, draft)
        outputs = FORMATS[form].run(draft, inputs)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # each exporter has its own exceptions
        first_line = (str(error).strip().splitlines() or [""])[0]
        problem = f"{type(model).__name__} cannot be exported ({type(error).__name__}: {first_line[:200]})"
        raise config_error("--format", form, problem, "another format") from error
    return max_difference(outputs, expected)


def max_difference(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest absolute difference; NaN if a number is NaN, infinity if the shapes differ."""
    if [x.shape for x in outputs] != [x.shape for x in expected]:
        return math.inf
    return float(torch.stack([(x - y).abs().max() for x, y in zip(outputs, expected, strict=True)]).max())


def check_packages(form: str) -> None:
    """Raise a ConfigError if a format needs packages that are not installed."""
    if form == "onnx" and any(importlib.util.find_spec(package) is None for package in ONNX_PACKAGES):
        raise config_error("--format", form, *describe_missing("export", ONNX_PACKAGES))


def model_card(model: Classifier, run: StoredRun | None, files: dict[str, Path], verified: str) -> str:
    """Return a page in Markdown (Mitchell et al. 2019, arXiv:1810.03993) about the exported `files`, by format."""
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
