"""The whole of an export: a run's model, the file, and the card beside it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trainyard.errors import ConfigError, reject
from trainyard.export.export import FORMATS, TOLERANCE, check_packages, export
from trainyard.export.interface import BATCHES
from trainyard.export.model_card import model_card
from trainyard.files import check_path, inside, relative, write_text
from trainyard.history.find_run import find_checkpoint, run_at
from trainyard.history.stored_run import StoredRun
from trainyard.models.load import load_model

CARD = "model_card.md"


def export_run(name: str, form: str, output: Path | None = None, trusted: Sequence[str] = ()) -> list[str]:
    """Export the best model of a run, or a checkpoint, and return what is to be said of it.

    Args:
        name: as `trainyard.history.find_run.find_checkpoint` takes it.
        form: one of `FORMATS`.
        output: of the file; `None` for `export/` in the run, or beside a checkpoint that lies in none.
        trusted: packages of models beside the project's own.

    Raises:
        ConfigError: there is no such run, or it cannot be exported so; nothing is then written.
    """
    check_packages(form)
    checkpoint = find_checkpoint(name)
    run = run_at(checkpoint) if checkpoint.suffix else None
    model = load_model(checkpoint, trusted)
    path = target(output, checkpoint, run, FORMATS[form].suffix)
    try:
        difference = export(model, form, path)
    except BaseException:
        if output is None:
            with suppress(OSError):  # there is another file in it
                path.parent.rmdir()
        raise
    sizes = " and ".join(map(str, BATCHES))
    verified = (
        f"`{path.name}`, written and then run by {FORMATS[form].where}, gave the probabilities of the checkpoint at "
        f"batches of {sizes}: largest difference {difference:.2g} (at most {TOLERANCE:g} is accepted)."
    )
    files = {key: file for key, other in FORMATS.items() if (file := path.with_suffix(other.suffix)).is_file()}
    card = path.with_name(CARD)
    write_text(card, model_card(model, run, files, verified))
    shape = ", ".join(map(str, model.spec.input_shape))
    kind = "uint8" if model.spec.kind == "images" else "float32"
    return [
        f"model      {run.name if run else relative(checkpoint)} ({type(model).__name__})",
        f"input      {kind} [batch, {shape}], raw; output probabilities of {len(model.spec.classes)} classes",
        f"verified   by {FORMATS[form].where} at batches of {sizes}: largest difference {difference:.2g}",
        f"written    {relative(path)} ({path.stat().st_size:,} bytes), {card.name}",
    ]


def target(output: Path | None, checkpoint: Path, run: StoredRun | None, suffix: str) -> Path:
    """Return the path of the file to write.

    Raises:
        ConfigError: a folder that is not there, another ending, or the checkpoint itself.
    """
    if output is None:
        home = run.folder if run else checkpoint.absolute().parent
        return inside(home, "export") / f"model{suffix}"
    check_path("--output", str(output))
    problem = accepted = ""
    if output.is_dir():
        problem, accepted = "it is a folder", str(output / f"model{suffix}")
    elif output.suffix != suffix:
        problem, accepted = f"the ending of this format is {suffix}", str(output.with_suffix(suffix))
    elif not output.parent.is_dir():
        problem, accepted = f"there is no folder {output.parent}", "a file in a folder that is there"
    elif output.exists() and output.samefile(checkpoint):
        problem, accepted = "it is the checkpoint itself", "another file"
    if problem:
        error: ConfigError = reject("--output", output, problem, accepted)
        raise error
    return output
