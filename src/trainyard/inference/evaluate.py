"""Evaluates a trained run or an ensemble on its test split or on other data."""

import hashlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trainyard.config.composition import instantiate
from trainyard.config.trusted import AUGMENTATION, check_target
from trainyard.data.augment import Augmentation
from trainyard.data.loading.datamodule import DataModule
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import stored_config
from trainyard.history.stored_run import StoredRun
from trainyard.inference.ensemble import Selection, load_members, select_members
from trainyard.inference.evaluation_data import OWN_TEST_SPLIT, load_evaluation_data, overlap_notes
from trainyard.io.errors import config_error, join_limited
from trainyard.io.files import relative
from trainyard.models.classifier import Classifier
from trainyard.run.compatibility import ACCELERATORS
from trainyard.run.run_builder import NoProfiler, use_channels_last
from trainyard.tasks.classification import Predictions, load_classifier
from trainyard.tasks.classification_report import Evaluation

METRICS = ("test/acc", "test/loss")
# Arguments of a run's Trainer that decide its numbers; a single process evaluates, however many trained.
KEPT_ARGUMENTS = ("accelerator", "precision", "deterministic", "benchmark", "limit_test_batches")


def evaluate(
    name: str, overrides: Sequence[str] = (), views: int = 1, trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Evaluate a run as at the end of its training, or with other data or settings.

    Args:
        name: of the run, see `trainyard.history.find_run.find_run`.
        overrides: values in place of those of the run's config.
        views: number of views of each image, see `predict_test_split`.
        trusted: packages that a stored config may name beside the known ones.

    Returns:
        The evaluation, and the directory of the run.

    Raises:
        ConfigError: there is no such run, it is damaged or dangerous, or the data is missing or does not fit.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    cfg = stored_config(run, overrides, trusted)
    model = load_classifier(checkpoint, trusted)
    data, which = load_evaluation_data(cfg, run, model.spec, trusted)
    predictions, scores = predict_test_split(model, data, cfg, views)
    notes = overlap_notes(data, run, which, trusted)
    if views > 1:
        averaged = scores_of(predictions)
        notes.append(gain_note(f"{views} views of each image", scores, averaged))
        scores = averaged
    elif which == OWN_TEST_SPLIT and checkpoint == run.checkpoint:
        notes.append(comparison_note(run, scores))
    typed = [*overrides, *(["--tta"] if views > 1 else [])]
    found = Evaluation(
        run.name, relative(checkpoint), which, scores, predictions, baseline_of(run, predictions), typed, notes
    )
    return found, run.folder


def evaluate_ensemble(
    name: str, size: int, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Evaluate an ensemble of a sweep and compare it with the best job alone; see `evaluate` and `select_members`."""
    chosen = select_members(name, size)
    jobs = list(chosen.jobs)
    tested = jobs if chosen.best in jobs else [*jobs, chosen.best]
    models = load_members(tested, trusted)
    cfg = stored_config(chosen.best, overrides, trusted)
    data, which = load_evaluation_data(cfg, chosen.best, models[0].spec, trusted)
    found, seconds = {}, {}
    for job, model in zip(tested, models, strict=True):
        start = time.perf_counter()
        found[job] = predict_test_split(model, data, stored_config(job, overrides, trusted))
        seconds[job] = time.perf_counter() - start
    mean = torch.stack([found[job][0].probabilities * weight for job, weight in chosen.jobs.items()]).sum(dim=0) / size
    together = Predictions(mean, found[chosen.best][0].labels, models[0].spec.classes)
    scores = scores_of(together)
    cost = sum(seconds[job] for job in jobs) / seconds[chosen.best]
    size_of_all = sum(sum(p.numel() for p in model.parameters()) for model in models[: len(jobs)])
    notes = [
        *overlap_notes(data, chosen.best, which, trusted),
        *member_notes(chosen),
        gain_note(f"against {chosen.best.name} alone", found[chosen.best][1], scores),
        f"cost       {len(jobs)} models, {size_of_all:,} parameters, {cost:.1f}x the time of one",
    ]
    baseline, typed = baseline_of(chosen.best, together), [*overrides, f"--ensemble {size}"]
    count = f"{len(jobs)} checkpoints"
    evaluation = Evaluation(f"{name} x {size}", count, which, scores, together, baseline, typed, notes)
    return evaluation, chosen.best.folder.parent


def scores_of(predictions: Predictions) -> dict[str, float]:
    """Return the scores of averaged probabilities."""
    return {"test/acc": predictions.accuracy, "test/loss": predictions.log_loss}


def baseline_of(run: StoredRun, predictions: Predictions) -> dict[str, Any]:
    """Return the accuracy of always predicting the most frequent class among the run's training examples."""
    baseline = run.result.get("baseline")
    name = baseline.get("class") if isinstance(baseline, dict) else None
    if name not in predictions.classes:
        return {}
    label = predictions.classes.index(name)
    return {"class": name, "test/acc": float((predictions.labels == label).double().mean())}


def member_notes(chosen: Selection) -> list[str]:
    """Return lines with the members of an ensemble and its validation accuracy."""
    members = ", ".join(f"{job.name}{f' x {weight}' if weight > 1 else ''}" for job, weight in chosen.jobs.items())
    rest = f"; {chosen.skipped} without predictions of the same examples" if chosen.skipped else ""
    scores = f"{chosen.accuracy:.4f} of the ensemble, {chosen.best_accuracy:.4f} of {chosen.best.name}"
    return [
        f"members    {members} (of {chosen.candidates} jobs{rest})",
        f"val/acc    {scores}; too high, since it selected the members",
    ]


def gain_note(change: str, before: dict[str, float], after: dict[str, float]) -> str:
    """Return a line with the differences of the scores."""
    parts = [f"{name} {after[name] - before[name]:+.4f} (from {before[name]:.4f})" for name in METRICS]
    return f"gain       {change}: {', '.join(parts)}"


def comparison_note(run: StoredRun, scores: dict[str, float]) -> str:
    """Return a line that says whether the scores are exactly those of the run's own test."""
    own = {name: run.metrics.get(name) for name in METRICS}
    if own == scores:
        return "the run    has exactly the same scores"
    shown = ", ".join(f"{name} {value}" for name, value in own.items() if value is not None)
    return f"the run    has {shown or 'no test scores'}; now {', '.join(f'{k} {v}' for k, v in scores.items())}"


def write_report(found: Evaluation, folder: Path) -> str:
    """Write the report of an evaluation and return the paths of its files.

    The files are named `test`, followed by a hash of the overrides and the checkpoint unless it is the run's own test.

    Raises:
        ConfigError: the folder cannot be written.
    """
    own = not found.typed and found.checkpoint.endswith("best.ckpt")
    identity = "\n".join([*found.typed, found.checkpoint])
    stem = "test" if own else f"test-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"
    try:
        paths = found.write(folder, stem)
    except OSError as error:
        accepted = "a folder that you may write to"
        raise config_error("--output", folder, f"cannot be written ({error.strerror})", accepted) from error
    return f"{relative(paths[0])}, {', '.join(path.name for path in paths[1:])}"


def predict_test_split(
    model: Classifier, data: DataModule, cfg: DictConfig, views: int = 1
) -> tuple[Predictions, dict[str, float]]:
    """Return predictions on the test split, and `test/acc` and `test/loss` bitwise as the run computed them.

    Args:
        model: a loaded one.
        data: with a `test` split.
        cfg: of the run.
        views: number of views of each image whose probabilities are averaged (test-time augmentation): the image
            itself, and then augmented as in training. The scores are those of the first view.

    Raises:
        ConfigError: see `build_tester`; or the run was trained without augmentation, and `views` is not 1.
    """
    augment = augmentation_of(cfg) if views > 1 else None
    if cfg.get("channels_last"):
        use_channels_last(model)
    if cfg.get("compile"):
        model.compile()
    batches: list[Tensor] = []
    model.register_forward_hook(lambda module, inputs, logits: batches.append(logits.detach().float().cpu()))
    trainer = build_tester(cfg)
    [scores] = trainer.test(model, data, verbose=False)
    probabilities = [torch.cat(batches).softmax(dim=1)]
    for view in range(1, views):
        batches.clear()
        loader = data.loader("test")
        loader.augment = partial(augment, classes=len(data.classes)) if augment else None
        loader.sampler.seed = view  # every view is epoch 0 to Lightning
        trainer.test(model, loader, verbose=False)
        probabilities.append(torch.cat(batches).softmax(dim=1))
    labels = data.splits["test"].y[: len(probabilities[0])].cpu()
    mean = probabilities[0] if views == 1 else torch.stack(probabilities).mean(dim=0)
    return Predictions(mean, labels, model.spec.classes), {name: float(value) for name, value in scores.items()}


def build_tester(cfg: DictConfig) -> L.Trainer:
    """Build a Trainer that tests like that of the run, and writes nothing.

    Raises:
        ConfigError: the accelerator is not available, or the precision is not valid.
    """
    wanted = str(cfg.trainer.get("accelerator", "auto"))
    available = ["auto", *(name for name, kind in ACCELERATORS.items() if kind.is_available())]
    if wanted not in available:
        accepted = " or ".join(f"trainer.accelerator={name}" for name in available)
        raise config_error("trainer.accelerator", wanted, f"there is no {wanted} device here", accepted)
    options: dict[str, Any] = {key: cfg.trainer[key] for key in KEPT_ARGUMENTS if key in cfg.trainer}
    options |= {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "devices": 1}
    try:
        return L.Trainer(**options, enable_model_summary=False, profiler=NoProfiler())
    except (MisconfigurationException, ValueError) as error:
        raise config_error("trainer", join_limited(map(str, options.values())), str(error).splitlines()[0]) from error


def augmentation_of(cfg: DictConfig) -> Augmentation:
    """Return the augmentation of the run's training images, without those that mix images.

    Raises:
        ConfigError: the run was trained without augmentation.
    """
    node = cfg.get("augment") or OmegaConf.create({})
    check_target("augment._target_", node.get("_target_"), AUGMENTATION)
    augment: Augmentation = instantiate(node, mixup=0.0, cutmix=0.0)
    if not augment:
        name = cfg.run.choices.get("augment")
        problem = f"with augment={name}, the run was trained without augmentation, which the views would use"
        raise config_error(
            "--tta", "", problem, "a run trained with an augment, or --tta with for example augment.flip=0.5"
        )
    return augment
