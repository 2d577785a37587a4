"""Exports a trained model with a model card, and compares the exported model with the checkpoint."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from trainyard.data.loading.target import Numbers, Target
from trainyard.data.loading.target_statistics import summarize_target
from trainyard.history.find_run import find_checkpoint, run_at
from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import load_supervised_model, module_config
from trainyard.inference.export_formats import FORMATS, describe_failure
from trainyard.inference.export_interface import (
    BATCHES,
    TOLERANCE,
    describe_difference,
    largest_difference,
    output_name,
    output_scale,
    random_inputs,
)
from trainyard.inference.model_card import CARD, exported_files, model_card
from trainyard.inference.module_export import export_module, load_module
from trainyard.inference.predict import output_draft
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.extras import describe_missing
from trainyard.io.files import check_path, output_folder, relative, write_text
from trainyard.models.supervised import SupervisedModel

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_run(name: str, form: str, output: Path | None = None, trusted: Sequence[str] = ()) -> list[str]:
    """Export the best model of a run, or a checkpoint, with a model card, and return the lines of a summary.

    Without `output`, the file is written into `export/` in the run or beside the checkpoint.

    Raises:
        ConfigError: the run is missing or cannot be exported; nothing is written then.
    """
    check_packages(form)
    checkpoint = find_checkpoint(name)
    run = run_at(checkpoint) if checkpoint.suffix else None
    if run and (cfg := module_config(run, trusted)) is not None:
        exported = load_module(run, checkpoint, cfg, form, trusted)
        path = output_path(output, checkpoint, run, FORMATS[form].suffix)
        with removed_if_empty(path.parent if output is None else None):
            return export_module(exported, run, form, path)
    model = load_supervised_model(checkpoint, trusted)
    path = output_path(output, checkpoint, run, FORMATS[form].suffix)
    with removed_if_empty(path.parent if output is None else None):
        difference = export(model, form, path)
    tested = f"by {FORMATS[form].runtime} at batches of {' and '.join(map(str, BATCHES))}"
    verified = (
        f"`{path.name}` was verified {tested}: the largest difference from the predictions of the checkpoint is "
        f"{describe_difference(model.spec.target, difference)} (at most {TOLERANCE:g} is accepted)."
    )
    write_text(path.with_name(CARD), model_card(model, run, exported_files(path), verified))
    shape = ", ".join(map(str, model.spec.input_shape))
    kind = "uint8" if model.spec.kind == "images" else "float32"
    return [
        f"model      {run.name if run else relative(checkpoint)} ({type(model).__name__})",
        f"input      {kind} [batch, {shape}], raw; output {describe_output(model.spec.target)}",
        f"verified   {tested}: largest difference {describe_difference(model.spec.target, difference)}",
        f"written    {relative(path)} ({path.stat().st_size:,} bytes), {CARD}",
    ]


def describe_output(target: Target) -> str:
    """Return what the outputs are."""
    is_number = isinstance(target, Numbers)
    return f"{output_name(target)} of {join_limited(target.names) if is_number else summarize_target(target)}"


@contextmanager
def removed_if_empty(folder: Path | None) -> Iterator[None]:
    """Remove a folder that an error in the block leaves empty."""
    try:
        yield
    except BaseException:
        if folder is not None:
            with suppress(OSError):  # the folder contains other files
                folder.rmdir()
        raise


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


def export(model: SupervisedModel, form: str, path: Path) -> float:
    """Write a model to a file, which replaces `path` only if its outputs are those of the model.

    Returns the largest difference of any probability, or of any number in its standard deviations, over batches of
    several sizes.

    Raises:
        ConfigError: the model cannot be written in this format, or the outputs differ.
    """
    with output_draft(path) as draft:
        draft.touch()  # an OSError is clearer than the errors of the exporters
        difference = write_and_compare(model, form, draft)
        if not difference <= TOLERANCE:
            name = output_name(model.spec.target)
            found = describe_difference(model.spec.target, difference)
            problem = f"the {name} in {FORMATS[form].runtime} differ by {found}; the file is removed"
            raise config_error("--format", form, problem, f"a difference of at most {TOLERANCE:g}")
    return difference


def write_and_compare(model: SupervisedModel, form: str, draft: Path) -> float:
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
        raise config_error("--format", form, describe_failure(model, error), "another format") from error
    return largest_difference(outputs, expected, [output_scale(model.spec.target, y) for y in expected])


def check_packages(form: str) -> None:
    """Raise a ConfigError if a format needs packages that are not installed."""
    if form == "onnx" and any(importlib.util.find_spec(package) is None for package in ONNX_PACKAGES):
        raise config_error("--format", form, *describe_missing("export", ONNX_PACKAGES))
