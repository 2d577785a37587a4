"""Exports a trained model for other programs, and compares it with the checkpoint there."""

import importlib.util
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from trainyard.history.find_run import find_checkpoint, run_at
from trainyard.history.stored_run import StoredRun
from trainyard.inference.export_formats import FORMATS, random_inputs
from trainyard.inference.model_card import model_card
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.extras import describe_missing
from trainyard.io.files import check_path, output_folder, relative, replacing, write_text
from trainyard.models.classifier import Classifier
from trainyard.tasks.classification import load_classifier

TOLERANCE = 1e-4
BATCHES = (1, 7)  # batch sizes at which an exported model is compared with its checkpoint
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
CARD = "model_card.md"


def export_run(name: str, form: str, output: Path | None = None, trusted: Sequence[str] = ()) -> list[str]:
    """Export the best model of a run, or a checkpoint, with a model card, and return a summary in lines.

    Args:
        name: see `trainyard.history.find_run.find_checkpoint`.
        form: one of `FORMATS`.
        output: file to write; `None` for `export/` in the run or beside the checkpoint.
        trusted: packages of models beside the project's own.

    Raises:
        ConfigError: there is no such run, or it cannot be exported; nothing is written then.
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
            with suppress(OSError):  # it contains another file
                path.parent.rmdir()
        raise
    return describe_export(model, run, run.name if run else relative(checkpoint), form, path, difference)


def describe_export(
    model: Classifier, run: StoredRun | None, name: str, form: str, path: Path, difference: float
) -> list[str]:
    """Write the model card beside an exported file, and return a summary in lines."""
    where, sizes = FORMATS[form].where, " and ".join(map(str, BATCHES))
    verified = (
        f"`{path.name}` was run by {where} and compared with the checkpoint at batches of {sizes}: the largest "
        f"difference of a probability is {difference:.2g} (at most {TOLERANCE:g} is accepted)."
    )
    files = {key: file for key, other in FORMATS.items() if (file := path.with_suffix(other.suffix)).is_file()}
    card = path.with_name(CARD)
    write_text(card, model_card(model, run, files, verified))
    shape = ", ".join(map(str, model.spec.input_shape))
    kind = "uint8" if model.spec.kind == "images" else "float32"
    return [
        f"model      {name} ({type(model).__name__})",
        f"input      {kind} [batch, {shape}], raw; output probabilities of {len(model.spec.classes)} classes",
        f"verified   by {where} at batches of {sizes}: largest difference {difference:.2g}",
        f"written    {relative(path)} ({path.stat().st_size:,} bytes), {card.name}",
    ]


def output_path(output: Path | None, checkpoint: Path, run: StoredRun | None, suffix: str) -> Path:
    """Return the path of the file to write.

    Raises:
        ConfigError: the folder does not exist, the extension is another, or it is the checkpoint itself.
    """
    if output is None:
        home = run.folder if run else checkpoint.absolute().parent
        return output_folder(home, "export") / f"model{suffix}"
    check_path("--output", str(output))
    if output.is_dir():
        raise config_error("--output", output, "it is a folder", str(output / f"model{suffix}"))
    if output.suffix != suffix:
        raise config_error(
            "--output", output, f"the extension of this format is {suffix}", str(output.with_suffix(suffix))
        )
    if not output.parent.is_dir():
        raise config_error("--output", output, f"no such folder: {output.parent}", "a file in an existing folder")
    if output.exists() and output.samefile(checkpoint):
        raise config_error("--output", output, "it is the checkpoint itself", "another file")
    return output


def export(model: Classifier, name: str, path: Path) -> float:
    """Write a model to a file, which gets its name only if its outputs are those of the model.

    Args:
        model: a trained one, on the CPU.
        name: one of `FORMATS`.
        path: of the file; an existing one is replaced.

    Returns:
        The largest difference of any probability, over batches of several sizes.

    Raises:
        ConfigError: a package is missing, the model cannot be written in this format, or the outputs differ.
    """
    check_packages(name)
    try:
        with replacing(path) as draft:
            draft.touch()  # an OSError says more than the errors of the exporters
            difference = write_and_compare(model, name, draft)
            if not difference <= TOLERANCE:
                problem = f"the probabilities in {FORMATS[name].where} differ by {difference:.2g}; the file is removed"
                raise config_error("--format", name, problem, f"a difference of at most {TOLERANCE:g}")
    except OSError as error:
        accepted = "a file in a folder that you may write to"
        raise config_error("--output", path, f"cannot be written ({error.strerror})", accepted) from error
    return difference


def write_and_compare(model: Classifier, name: str, draft: Path) -> float:
    """Write a file and return the largest difference of its outputs from those of the model."""
    inputs = [random_inputs(model.spec, count) for count in BATCHES]
    with torch.no_grad():
        expected = [model.predict_step(x, 0) for x in inputs]
    try:
        FORMATS[name].write(model, draft)
        outputs = FORMATS[name].run(draft, inputs)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # each exporter has its own exceptions
        first = (str(error).strip().splitlines() or [""])[0]
        problem = f"{type(model).__name__} cannot be exported ({type(error).__name__}: {first[:200]})"
        raise config_error("--format", name, problem, "another format") from error
    return max_difference(outputs, expected)


def max_difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest absolute difference; NaN if a number is NaN, infinity if the shapes differ."""
    if [one.shape for one in found] != [other.shape for other in expected]:
        return math.inf
    return float(torch.stack([(one - other).abs().max() for one, other in zip(found, expected, strict=True)]).max())


def check_packages(name: str) -> None:
    """Raise a ConfigError if a format needs packages that are not installed."""
    if name == "onnx" and any(importlib.util.find_spec(package) is None for package in ONNX_PACKAGES):
        raise config_error("--format", name, *describe_missing("export", ONNX_PACKAGES))
