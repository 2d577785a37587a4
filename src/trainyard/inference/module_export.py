"""Exports any LightningModule with a model card, and compares the exported file with the checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from trainyard.history.stored_run import StoredRun
from trainyard.inference.export_formats import FORMATS, describe_failure
from trainyard.inference.export_interface import BATCHES, TOLERANCE, largest_difference
from trainyard.inference.model_card import CARD, card_page, describe_run, exported_files
from trainyard.inference.module_formats import MODULE_FORMATS, ExportedModule
from trainyard.inference.predict import output_draft
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import relative, write_text
from trainyard.run.rebuild import build_stored_model, load_weights
from trainyard.terminal.tables import markdown_table

LIMITS = "Scores hold for data like the test data. The file was compared with the checkpoint on one CPU only."
NO_EXAMPLE = "a model that sets self.example_input_array, or --format safetensors, which contains weights only"


def load_module(
    run: StoredRun, checkpoint: Path, cfg: DictConfig, form: str, trusted: Sequence[str] = ()
) -> ExportedModule:
    """Return the module of a run with the weights of a checkpoint; raise a ConfigError if it lacks example inputs."""
    model = build_stored_model(cfg, trusted)
    load_weights(model, checkpoint)
    exported = ExportedModule(model.eval())
    if model.example_input_array is None and form != "safetensors":
        problem = f"{type(model).__qualname__} of {run.name} has no example_input_array"
        raise config_error("--format", form, problem, NO_EXAMPLE)
    return exported


def export_module(exported: ExportedModule, run: StoredRun, form: str, path: Path) -> list[str]:
    """Write a module and its card, and return the lines of a summary; without a file if the outputs differ."""
    with output_draft(path) as draft:
        draft.touch()  # an OSError is clearer than the errors of the exporters
        difference, dynamic = write_and_compare(exported, form, draft)
    size = f"batches of {' and '.join(map(str, BATCHES))}" if dynamic else "the example inputs, whose sizes are fixed"
    tested = f"by {FORMATS[form].runtime} with {size}: largest difference {difference:.2g}"
    if not exported.has_example:
        tested = "by comparing all weights"
    verified = f"`{path.name}` was verified {tested} (at most {TOLERANCE:g} is accepted)."
    write_text(path.with_name(CARD), module_card(exported, run, exported_files(path), verified))
    inputs = ", ".join(f"{name} {kind} {shape}" for name, kind, shape in exported.describe())
    return [
        f"model      {run.name} ({type(exported.model).__name__})",
        f"input      {inputs or 'none: weights only'}",
        f"verified   {tested}",
        f"written    {relative(path)} ({path.stat().st_size:,} bytes), {CARD}",
    ]


def write_and_compare(exported: ExportedModule, form: str, draft: Path) -> tuple[float, bool]:
    """Write a file; return the largest difference of its outputs, and whether it takes batches of any size.

    Raises:
        ConfigError: the module cannot be exported, or the outputs differ.
    """
    problem = ""
    for dynamic in (True, False) if exported.batch_size else (False,):
        try:
            difference = export_once(exported, form, draft, dynamic)
        except (ConfigError, OSError):
            raise
        except Exception as error:  # each exporter has its own exceptions
            problem = describe_failure(exported.model, error)
            continue
        if difference <= TOLERANCE:
            return difference, dynamic
        problem = (
            f"the outputs in {FORMATS[form].runtime} differ by {difference:.2g}, at most {TOLERANCE:g} is accepted"
        )
    raise config_error("--format", form, problem, "another format; safetensors contains weights only")


def export_once(exported: ExportedModule, form: str, draft: Path, dynamic: bool) -> float:
    """Write a file, with or without a fixed batch size, and return the largest difference of its outputs."""
    handler = MODULE_FORMATS[form]
    batches = exported.batches(dynamic) if exported.has_example else []
    expected = [exported.outputs(inputs) for inputs in batches]
    handler.write(exported, draft, dynamic)
    outputs = handler.run(exported, draft, batches)
    pairs = zip(outputs, expected, strict=True)
    return max((largest_difference(found, wanted) for found, wanted in pairs), default=0.0)


def module_card(exported: ExportedModule, run: StoredRun, files: dict[str, Path], verified: str) -> str:
    """Return a page in Markdown about the exported `files`, by format."""
    arrays = ", ".join(f"{path!r}: numpy.zeros({shape}, {kind!r})" for path, kind, shape in exported.describe())
    usage = [MODULE_FORMATS[form].usage.format(file=repr(path.name), arrays=arrays) for form, path in files.items()]
    rows = [(path, kind, " x ".join(map(str, shape))) for path, kind, shape in exported.describe()]
    inputs = markdown_table(["argument of forward", "type", "shape of the example"], rows) if rows else "Unknown."
    sections = {"## Input": inputs, **describe_run(run), "## Limits": LIMITS}
    return card_page(exported.model, run.name, usage, verified, sections)
