"""Predicts with any LightningModule: what its `predict_step` returns for the batches of its data module.

A table of numbers and texts is written as CSV; other results, such as images, as a file for `torch.load`.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig
from torch import Tensor

from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import config_to_test
from trainyard.inference.capabilities import InterpretsOutputs, check_provides
from trainyard.inference.predict import check_output, open_output, output_draft
from trainyard.inference.prediction_inputs import ACCEPTED
from trainyard.inference.trainer import prepare_inference, without_training_callbacks
from trainyard.io.csv_text import csv_writer, escape_formula
from trainyard.io.errors import ConfigError, config_error
from trainyard.io.files import output_folder, relative
from trainyard.run.rebuild import build_stored, part_classes

PREDICTION = "prediction"  # the column of a prediction that is not a dict
MAX_COLUMNS = 1000
SUFFIXES = (".csv", ".npy", ".pt")
TORCH_FILE = "a file .pt, for torch.load"


def predict_run(
    name: str, overrides: Sequence[str] = (), output: Path | None = None, trusted: Sequence[str] = ()
) -> list[str]:
    """Write the predictions of a run's model for `predict_dataloader` of its data module; return lines for the screen.

    A table is written to stdout, other predictions to `predictions/predict.pt` in the run, unless `output` is given.

    Raises:
        ConfigError: a part cannot be rebuilt or lacks what predictions need; no file is written then.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    if output is not None:
        check_output(output, [checkpoint])
        if output.suffix not in SUFFIXES:
            raise config_error("--output", output, "unknown extension", f"a file {', '.join(SUFFIXES)}")
    predictions = predict_module(run.name, checkpoint, config_to_test(run, overrides, trusted), trusted)
    if output is None and not as_columns(predictions):
        output = output_folder(run.folder, "predictions") / "predict.pt"
    write_predictions(predictions, output)
    return [] if output is None else [f"written    {relative(output)}: {describe(predictions)}"]


@isolate_rng()
def predict_module(name: str, checkpoint: Path, cfg: DictConfig, trusted: Sequence[str] = ()) -> Any:
    """Return what `predict_step` of the model `name` returns for all batches, joined as by `join_batches`."""
    model_class, data_class = part_classes(cfg, trusted)
    has_batches = data_class.predict_dataloader is not L.LightningDataModule.predict_dataloader
    if issubclass(model_class, InterpretsOutputs) and not has_batches:
        raise ConfigError(f"INPUT: {name} predicts files\n  accepted: {'; '.join(ACCEPTED.values())}")
    model, data = build_stored(cfg, trusted)
    check_provides(model, data, "predict_step", "predict_dataloader", name)
    trainer = prepare_inference(model, checkpoint, cfg)
    with without_training_callbacks():
        predictions: Any = trainer.predict(model, data, ckpt_path=checkpoint, weights_only=True)
    if not predictions:
        raise config_error("RUN", name, f"{type(data).__qualname__}.predict_dataloader has no batches", "a batch")
    if trainer.predict_loop.num_dataloaders > 1:
        return [join_batches(batches) for batches in predictions]
    return join_batches(predictions)


def join_batches(batches: Sequence[Any]) -> Any:
    """Return the predictions of batches as one: tensors and lists are concatenated, also in dicts and tuples.

    Batches that cannot be joined, such as tensors of several sizes, are returned as a list.
    """
    first, kinds = next(iter(batches), None), {type(batch) for batch in batches}
    if len(kinds) != 1:
        return list(batches)
    if isinstance(first, Tensor):
        fits = first.ndim > 0 and len({batch.shape[1:] for batch in batches}) == 1
        return torch.cat(list(batches)) if fits else list(batches)
    if isinstance(first, Mapping) and all(batch.keys() == first.keys() for batch in batches):
        return {key: join_batches([batch[key] for batch in batches]) for key in first}
    if isinstance(first, tuple) and len({len(batch) for batch in batches}) == 1:
        return tuple(join_batches(parts) for parts in zip(*batches, strict=True))
    return list(chain.from_iterable(batches)) if isinstance(first, list) else list(batches)


def as_columns(predictions: Any, name: str = PREDICTION) -> dict[str, list[Any]]:
    """Return the columns of a table of predictions; empty if they are not a table.

    A tensor `[N]` is a column, `[N, K]` are K columns `NAME.0` to `NAME.K-1`; the parts of dicts and tuples are beside
    each other.
    """
    if isinstance(predictions, Mapping | tuple):
        pairs = predictions.items() if isinstance(predictions, Mapping) else enumerate(predictions)
        prefix = "" if isinstance(predictions, Mapping) and name == PREDICTION else f"{name}."
        parts = [as_columns(part, f"{prefix}{key}") for key, part in pairs]
        columns = {key: values for part in parts for key, values in part.items()}
        return columns if all(parts) and len({len(values) for values in columns.values()}) == 1 else {}
    if isinstance(predictions, Tensor) and predictions.ndim in (1, 2) and not predictions.is_complex():
        table = predictions[:, None] if predictions.ndim == 1 else predictions
        count = table.shape[1]
        names = [name] if count == 1 else [f"{name}.{number}" for number in range(count)]
        return dict(zip(names, map(as_cells, table.T), strict=True)) if count <= MAX_COLUMNS else {}
    values = predictions if isinstance(predictions, list) else []
    return {name: values} if values and all(isinstance(value, str | int | float) for value in values) else {}


def as_cells(numbers: Tensor) -> list[Any]:
    """Return numbers `[N]` for CSV, with as many digits as distinguish them in their precision."""
    if numbers.is_floating_point():
        numbers = numbers.to(torch.promote_types(numbers.dtype, torch.float32))  # NumPy has no bfloat16
        return list(numbers.numpy().astype(str))
    return list(numbers.tolist())


def write_predictions(predictions: Any, output: Path | None) -> None:
    """Write predictions: a table as CSV, a tensor as .npy, anything as .pt; a table to stdout without `output`.

    Raises:
        ConfigError: the predictions do not fit the format, or the file cannot be written.
    """
    if output is None or output.suffix == ".csv":
        columns = as_columns(predictions)
        if not columns:
            raise config_error("--output", output, "the predictions are not a table of numbers and texts", TORCH_FILE)
        with open_output(output) as stream:
            rows = csv_writer(stream)
            rows.writerow(["example", *map(escape_formula, columns)])
            rows.writerows(
                [number, *map(escape_formula, row)] for number, row in enumerate(zip(*columns.values(), strict=True))
            )
        return
    if output.suffix == ".npy" and not (isinstance(predictions, Tensor) and predictions.dtype != torch.bfloat16):
        raise config_error("--output", output, "the predictions are not one tensor that NumPy can hold", TORCH_FILE)
    with output_draft(output) as draft, draft.open("wb") as file:
        np.save(file, predictions.numpy()) if output.suffix == ".npy" else torch.save(predictions, file)


def describe(predictions: Any) -> str:
    """Return a short description of predictions: types, and shapes of tensors."""
    if isinstance(predictions, Tensor):
        return f"{str(predictions.dtype).removeprefix('torch.')} [{', '.join(map(str, predictions.shape))}]"
    if isinstance(predictions, Mapping):
        return "; ".join(f"{key} {describe(part)}" for key, part in predictions.items())
    if isinstance(predictions, tuple):
        return f"({', '.join(map(describe, predictions))})"
    return f"{type(predictions).__name__} of {len(predictions)}" if isinstance(predictions, list) else "one object"
