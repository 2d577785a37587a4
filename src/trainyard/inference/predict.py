"""Predicts new images or rows with a trained model: as CSV, or as a DataFrame."""

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from trainyard.history.find_run import find_checkpoint
from trainyard.inference.prediction_inputs import ACCEPTED, InputFile, check_kind, find_inputs
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import check_path, replacing
from trainyard.terminal.controls import EscapedStream, unescaped

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from trainyard.inference.ensemble import Ensemble
    from trainyard.inference.prediction_batches import InputBatch
    from trainyard.models.supervised import SupervisedModel

    Predictor = SupervisedModel | Ensemble

OUTPUT = "a file in an existing folder that is not one of the inputs"


def is_override(word: str) -> bool:
    """Return whether a word of the command changes the data module or the Trainer, instead of being an input."""
    return word.startswith(("data.", "trainer.")) and "=" in word and not Path(word).exists()


def predict_files(
    run: str,
    inputs: Sequence[str],
    output: Path | None = None,
    batch_size: int | None = None,
    trusted: Sequence[str] = (),
    ensemble: int | None = None,
) -> int:
    """Write the predictions of a run's best model as CSV, and return the number of inputs with an error.

    Without `output`, they are written to stdout. With `ensemble`, as many jobs of `best:SWEEP` are averaged.

    Raises:
        ConfigError: invalid input; no file is written then.
    """
    checkpoint = find_checkpoint(run)
    files = check_inputs(inputs)
    path = check_output(output, [checkpoint, *(Path(file.name) for file in files)]) if output is not None else None
    model, device = load_predictor(run, checkpoint, files, trusted, ensemble)  # torch takes seconds to import

    from trainyard.inference.prediction_batches import input_batches
    from trainyard.inference.predictions_csv import PredictionsCSV
    from trainyard.terminal.display import progress_counter

    batches, total = input_batches(files, model, batch_size)
    counter = progress_counter("predicting", total, "inputs", sys.stderr)
    progress = nullcontext() if path is None and sys.stdout.isatty() else counter  # a bar would overwrite the rows
    with closing(batches), open_output(path) as stream, progress as add:
        rows = PredictionsCSV(stream, model.spec.target)
        for batch in batches:
            rows.write(batch.names, *predict_batch(model, batch, device))
            if add:
                add(len(batch.names))
    if rows.failed:
        print(f"{rows.failed} of {rows.rows} inputs could not be predicted", file=sys.stderr)
    return rows.failed


def predict(
    run: str | Path,
    inputs: str | Path | Sequence[str | Path],
    batch_size: int | None = None,
    trusted_packages: Sequence[str] = (),
    ensemble: int | None = None,
) -> "pd.DataFrame":
    """Return the predictions of a run's best model for images or tables, with the columns of `trainyard predict`.

    If inputs cannot be predicted, the column `error` says why.

    Args:
        run: name or directory of a run, `latest`, `best:SWEEP`, or a checkpoint.
        inputs: files, folders of images, or patterns such as `photos/**/*.png`.
        batch_size: examples at once; by default 64 images or 8192 rows.
        trusted_packages: packages whose classes the run may name, in addition to Trainyard's.
        ensemble: number of jobs of `best:SWEEP` to average.

    Raises:
        ConfigError: invalid input.
    """
    import pandas as pd

    from trainyard.inference.prediction_batches import input_batches
    from trainyard.inference.predictions_csv import PredictionTable

    name, checkpoint = str(run), find_checkpoint(str(run))
    files = check_inputs([str(file) for file in ([inputs] if isinstance(inputs, str | Path) else inputs)])
    model, device = load_predictor(name, checkpoint, files, trusted_packages, ensemble)
    table = PredictionTable(model.spec.target)
    rows: list[list[Any]] = []
    problems: dict[int, str] = {}
    batches, _ = input_batches(files, model, batch_size)
    for batch in batches:
        predictions, decisions, errors = predict_batch(model, batch, device)
        problems |= {len(rows) + position: problem for position, problem in errors.items()}
        empty = [None] * (len(table.columns) - 1)
        rows += table.rows(batch.names, predictions, decisions, dict.fromkeys(errors, empty))
    frame = pd.DataFrame(rows, columns=table.columns)
    return frame.assign(error=pd.Series(problems)) if problems else frame


def check_inputs(inputs: Sequence[str]) -> list[InputFile]:
    """Return the files of the inputs; raise a ConfigError if there are none."""
    if not inputs:
        raise ConfigError(f"INPUT: none given\n  accepted: {'; '.join(ACCEPTED.values())}")
    return find_inputs(inputs)


def load_predictor(
    run: str, checkpoint: Path, files: Sequence[InputFile], trusted: Sequence[str], ensemble: int | None
) -> "tuple[Predictor, str]":
    """Return a run's best model, or an ensemble, in evaluation mode, and its device.

    Raises:
        ConfigError: it does not take files of this kind.
    """
    import torch

    from trainyard.inference.capabilities import check_reads_files, load_supervised_model
    from trainyard.inference.ensemble import load_ensemble

    check_reads_files(run, checkpoint, files[0].name, trusted)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_ensemble(run, ensemble, trusted) if ensemble else load_supervised_model(checkpoint, trusted)
    check_kind(files, model.spec.kind, f"{run} ({type(model).__name__})")
    return model.to(device), device


def predict_batch(
    model: "Predictor", batch: "InputBatch", device: "torch.device | str" = "cpu"
) -> tuple[NDArray[np.float32], NDArray[Any], dict[int, str]]:
    """Return the predictions `[N, K]`, NaN for an input with an error, what they decide, and the errors by position.

    The model must be in evaluation mode on the device.
    """
    import torch

    predictions = torch.full((len(batch.names), len(model.spec.target.names)), torch.nan, device=device)
    readable = [position for position in range(len(batch.names)) if position not in batch.errors]
    with torch.inference_mode():
        if readable:
            predictions[readable] = model.predict_step(batch.x.to(device), 0).float()
        decisions = model.task.decisions(predictions).cpu().numpy()
    invalid = (~predictions.isfinite().all(dim=1)).nonzero().flatten().tolist()
    errors = {**dict.fromkeys(invalid, "the model's predictions are not finite"), **batch.errors}
    return predictions.cpu().numpy(), decisions, errors


def check_output(output: Path, inputs: Iterable[Path]) -> Path:
    """Return the resolved path of a file to write."""
    check_path("--output", str(output))
    path = output.expanduser().resolve()
    if not path.parent.is_dir():
        raise config_error("--output", output, f"no such folder: {path.parent}", OUTPUT)
    if path.exists() and not path.is_file():
        raise config_error("--output", output, "a folder" if path.is_dir() else "not a regular file", OUTPUT)
    if any(other.exists() and path.exists() and path.samefile(other) for other in inputs):
        raise config_error("--output", output, "it is one of the inputs", OUTPUT)
    return path


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open a file that replaces `path` when it is complete; open stdout if `path` is `None`."""
    if path is None:
        stream = unescaped(sys.stdout)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")
        yield EscapedStream(stream) if stream.isatty() else stream  # type: ignore[misc]
        stream.flush()
        return
    with output_draft(path) as draft, draft.open("w", -1, "utf-8", "backslashreplace", newline="") as file:
        yield file


@contextmanager
def output_draft(path: Path) -> Iterator[Path]:
    """Yield a file that replaces `path` when it is complete; raise a ConfigError if it cannot be written."""
    try:
        with replacing(path) as draft:
            yield draft
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise config_error("--output", path, problem, "a path that can be written") from error
