"""The whole of a prediction: a run's model, what is typed to be predicted, and where it goes."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainyard.history.find_run import find_checkpoint
from trainyard.predict.inputs import InputFile, check_kind, find_inputs
from trainyard.predict.output import check_output, opened
from trainyard.predict.progress import progress

if TYPE_CHECKING:
    from trainyard.predict.predictor import Predictor


def predict_files(
    run: str,
    words: Sequence[str],
    output: Path | None = None,
    batch_size: int | None = None,
    trusted: Sequence[str] = (),
    ensemble: int | None = None,
) -> int:
    """Write a CSV of what a run's best model predicts; return how many inputs could not be predicted.

    Args:
        run: as `find_checkpoint` takes it.
        words: files, folders, patterns, or `-`.
        output: a file; `None` for the screen.
        batch_size: how many are predicted at once; `None` for 64 images or 8192 rows.
        trusted: packages of models beside the project's own.
        ensemble: how many jobs of `best:SWEEP` are averaged; `None` for one model.

    Raises:
        ConfigError: something that was typed cannot be; no file is then written.
    """
    checkpoint = find_checkpoint(run)
    files = find_inputs(words)
    used = [checkpoint, *(Path(file.name) for file in files)]
    target = check_output(output, used) if output is not None else None
    import torch  # seconds; what was mistyped is said before

    from trainyard.evaluation.ensemble import ensemble_of
    from trainyard.models.load import load_model

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = (ensemble_of(run, ensemble, trusted) if ensemble else load_model(checkpoint, trusted)).to(device)
    check_kind(files, model.spec.kind, f"{run} ({type(model).__name__})")
    return write_predictions(model, files, target, batch_size, device)


def write_predictions(
    model: "Predictor", files: Sequence[InputFile], target: Path | None, batch_size: int | None, device: str
) -> int:
    """Write what a model on a device predicts for files of its kind; return how many could not be predicted."""
    from trainyard.predict.open_inputs import opened_inputs
    from trainyard.predict.predictions_csv import PredictionsCSV
    from trainyard.predict.predictor import predict

    with (
        opened_inputs(files, model.spec, batch_size) as (batches, total),
        opened(target) as stream,
        progress(total, rows_on_screen=target is None and sys.stdout.isatty()) as done,
    ):
        rows = PredictionsCSV(stream, model.spec.classes)
        for batch in predict(model, batches, device):
            rows.write(batch)
            done(len(batch.names))
    if rows.failed:
        print(f"{rows.failed} of {rows.rows} could not be predicted", file=sys.stderr)
    return rows.failed
