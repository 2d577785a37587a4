"""A run tested again, from its directory alone."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainyard.errors import reject
from trainyard.evaluation.data_to_test import OWN, data_to_test
from trainyard.evaluation.ensemble import Selection, load_members, select
from trainyard.evaluation.overlap import overlap_notes
from trainyard.evaluation.predictions import Predictions
from trainyard.evaluation.report import Evaluation, log_loss
from trainyard.evaluation.testing import assess
from trainyard.files import relative
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.history.stored_run import StoredRun
from trainyard.models.load import load_model

METRICS = ("test/acc", "test/loss")


def evaluate(
    name: str, overrides: Sequence[str] = (), views: int = 1, trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Test a run as it was tested when it was trained, or on what is typed now.

    Args:
        name: of the run, as `trainyard.history.find_run.find_run` takes it.
        overrides: values in place of those of the run's config.
        views: of each image, see `trainyard.evaluation.testing.assess`.
        trusted: packages that a stored config may name beside the known ones.

    Returns:
        What was found, and the directory that it belongs beside.

    Raises:
        ConfigError: no such run, a damaged or a dangerous one, data that is not there or does not fit.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    cfg = stored_config(run, overrides, trusted)
    model = load_model(checkpoint, trusted)
    data, which = data_to_test(cfg, run, model.spec, trusted)
    predictions, scores = assess(model, data, cfg, views)
    notes = overlap_notes(data, run, which, trusted)
    if views > 1:
        changed = {"test/acc": predictions.accuracy, "test/loss": log_loss(predictions)}
        notes.append(gain(f"{views} views of each image", scores, changed))
        scores = changed
    elif which == OWN and checkpoint == run.checkpoint:
        notes.append(beside(run, scores))
    typed = [*overrides, *(["--tta"] if views > 1 else [])]
    found = Evaluation(
        run.name, relative(checkpoint), which, scores, predictions, baseline(run, predictions), typed, notes
    )
    return found, run.folder


def evaluate_ensemble(
    name: str, size: int, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Test the ensemble that greedy selection makes of a sweep, and its best job alone; see `evaluate`."""
    chosen = select(name, size)
    jobs = list(chosen.jobs)
    models = load_members(jobs if chosen.best in jobs else [*jobs, chosen.best], trusted)
    cfg = stored_config(chosen.best, overrides, trusted)
    data, which = data_to_test(cfg, chosen.best, models[0].spec, trusted)
    found, seconds = {}, {}
    for job, model in zip([*jobs, *({chosen.best} - {*jobs})], models, strict=True):
        start = time.perf_counter()
        found[job] = assess(model, data, stored_config(job, overrides, trusted))
        seconds[job] = time.perf_counter() - start
    mean = torch.stack([found[job][0].probabilities * times for job, times in chosen.jobs.items()]).sum(dim=0) / size
    together = Predictions(mean, found[chosen.best][0].labels, models[0].spec.classes)
    scores = {"test/acc": together.accuracy, "test/loss": log_loss(together)}
    alone = found[chosen.best][1]
    notes = overlap_notes(data, chosen.best, which, trusted)
    notes += [*selected(chosen), gain(f"against {chosen.best.name} alone", alone, scores)]
    cost = sum(seconds[job] for job in jobs) / seconds[chosen.best]
    parameters = sum(sum(p.numel() for p in model.parameters()) for model in models[: len(jobs)])
    notes.append(f"cost       {len(jobs)} models, {parameters:,} parameters, {cost:.1f} times the seconds of that one")
    checkpoints = f"{len(jobs)} checkpoints"
    folder = chosen.best.folder.parent
    typed = [*overrides, f"--ensemble {size}"]
    share = baseline(chosen.best, together)
    return Evaluation(f"{name} x {size}", checkpoints, which, scores, together, share, typed, notes), folder


def baseline(run: StoredRun, predictions: Predictions) -> dict[str, Any]:
    """Return the accuracy of always predicting the class that is most frequent among the run's training examples."""
    noted = run.result.get("baseline")
    name = noted.get("class") if isinstance(noted, dict) else None
    if name not in predictions.classes:
        return {}
    label = predictions.classes.index(name)
    return {"class": name, "test/acc": float((predictions.labels == label).double().mean())}


def selected(chosen: Selection) -> list[str]:
    """Return the lines that say what an ensemble consists of, and what validation says of it."""
    members = ", ".join(f"{job.name}{f' x {times}' if times > 1 else ''}" for job, times in chosen.jobs.items())
    rest = f"; {chosen.left_out} without predictions of the same examples" if chosen.left_out else ""
    return [
        f"members    {members} (of {chosen.candidates} jobs{rest})",
        f"val/acc    {chosen.together:.4f} together, {chosen.alone:.4f} of {chosen.best.name}, which chose them",
    ]


def gain(what: str, before: dict[str, float], after: dict[str, float]) -> str:
    """Return the line that says what a change of two scores is."""
    parts = [f"{name} {after[name] - before[name]:+.4f} (from {before[name]:.4f})" for name in METRICS]
    return f"gain       {what}: {', '.join(parts)}"


def beside(run: StoredRun, scores: dict[str, float]) -> str:
    """Return the line that says whether scores are those of the run's own test."""
    own = {name: run.metrics.get(name) for name in METRICS}
    if own == scores:
        return "the run    said the same, to the last bit"
    shown = ", ".join(f"{name} {value}" for name, value in own.items() if value is not None)
    return f"the run    said {shown or 'nothing of a test'}; now {', '.join(f'{k} {v}' for k, v in scores.items())}"


def write(found: Evaluation, folder: Path) -> str:
    """Write the report of an evaluation, and return where it lies.

    Its name is `test`, and where it is not the run's own test, a few digits of what was typed.

    Raises:
        ConfigError: the folder cannot be written.
    """
    own = not found.typed and found.checkpoint.endswith("best.ckpt")
    what = "\n".join([*found.typed, found.checkpoint])
    stem = "test" if own else f"test-{hashlib.sha256(what.encode()).hexdigest()[:6]}"
    try:
        paths = found.write(folder, stem)
    except OSError as error:
        raise reject("--output", folder, f"cannot be written ({error.strerror})", "a folder of yours") from error
    return f"{relative(paths[0])}, {', '.join(path.name for path in paths[1:])}"
