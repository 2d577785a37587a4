"""Evaluates a trained run or an ensemble on its test split or on other data."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trainyard.config.composition import instantiate
from trainyard.config.trusted import AUGMENTATION, check_target
from trainyard.data.augment import Augmentation
from trainyard.data.loading.datamodule import DataModule
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import NO_PROBABILITIES, has_class_report
from trainyard.inference.ensemble import load_members, select_members
from trainyard.inference.evaluation_data import OWN_TEST_SPLIT, load_evaluation_data, overlap_notes
from trainyard.inference.module_evaluation import evaluate_module
from trainyard.inference.trainer import apply_model_options, build_inference_trainer
from trainyard.io.errors import config_error
from trainyard.io.files import relative
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import Predictions, load_classifier
from trainyard.reports.classification_report import Evaluation

METRICS = ("test/acc", "test/loss")


class Report(Protocol):
    """The result of an evaluation."""

    @property
    def checkpoint(self) -> str:
        """The path of the checkpoint, or the number of checkpoints."""

    @property
    def options(self) -> list[str]:
        """Overrides and options that differ from the run's own test."""

    @property
    def lines(self) -> list[str]:
        """The report as text."""

    def write(self, folder: Path, stem: str) -> list[Path]:
        """Write the report into a folder, as files whose names begin with `stem`, and return their paths.

        Raises:
            OSError: the folder cannot be written.
        """


def evaluate(
    name: str, overrides: Sequence[str] = (), views: int = 1, trusted: Sequence[str] = ()
) -> tuple[Report, Path]:
    """Evaluate a run as at the end of its training, or with other data or settings; also return its directory.

    With several `views` of each image, their predictions are averaged; see `predict_test_split`.

    Raises:
        ConfigError: the run is missing, damaged or not allowed, or the data is missing or does not fit.
    """
    run, checkpoint = find_run_and_checkpoint(name)
    cfg = config_to_test(run, overrides, trusted)
    if not has_class_report(cfg, trusted):
        if views > 1:
            raise config_error("--tta", run.name, NO_PROBABILITIES, "a run of a classifier on images")
        return evaluate_module(run, checkpoint, cfg, overrides, trusted), run.folder
    model = load_classifier(checkpoint, trusted)
    data, examples = load_evaluation_data(cfg, run, model.spec, trusted)
    predictions, scores = predict_test_split(model, data, cfg, views)
    baseline = baseline_scores(run, predictions)
    options = [*overrides]
    notes = overlap_notes(data, run, examples, trusted)
    if views > 1:
        averaged = scores_of(predictions)
        notes.append(gain_note(f"{views} views of each image", scores, averaged))
        scores = averaged
        options.append("--tta")
    elif examples == OWN_TEST_SPLIT and checkpoint == run.checkpoint:
        notes.append(comparison_note(run, scores))
    report = Evaluation(run.name, relative(checkpoint), examples, scores, predictions, baseline, options, notes)
    return report, run.folder


def evaluate_ensemble(
    name: str, size: int, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Evaluate an ensemble of a sweep and compare it with the best job alone; see `evaluate` and `select_members`."""
    selection = select_members(name, size, trusted)
    best = selection.best
    jobs = list(dict.fromkeys([*selection.jobs, best]))
    models = load_members(jobs, trusted)
    cfg = config_to_test(best, overrides, trusted)
    data, examples = load_evaluation_data(cfg, best, models[0].spec, trusted)
    results = {
        job: predict_test_split(model, data, config_to_test(job, overrides, trusted))
        for job, model in zip(jobs, models, strict=True)
    }
    weighted = [results[job][0].probabilities * weight for job, weight in selection.jobs.items()]
    best_predictions, best_scores = results[best]
    predictions = replace(best_predictions, probabilities=torch.stack(weighted).sum(dim=0) / size)
    scores = scores_of(predictions)
    members = [f"{job.name} x {weight}" if weight > 1 else job.name for job, weight in selection.jobs.items()]
    notes = [
        *overlap_notes(data, best, examples, trusted),
        f"members    {', '.join(members)} (of {selection.candidates} jobs)",
        gain_note(f"against {best.name} alone", best_scores, scores),
    ]
    baseline = baseline_scores(best, predictions)
    options = [*overrides, f"--ensemble {size}"]
    checkpoints = f"{len(selection.jobs)} checkpoints"
    report = Evaluation(f"{name} x {size}", checkpoints, examples, scores, predictions, baseline, options, notes)
    return report, best.folder.parent


def scores_of(predictions: Predictions) -> dict[str, float]:
    """Return the scores of averaged probabilities."""
    return {"test/acc": predictions.accuracy, "test/loss": predictions.log_loss}


def baseline_scores(run: StoredRun, predictions: Predictions) -> dict[str, Any]:
    """Return the accuracy of always predicting the most frequent class of the run's training examples."""
    baseline = run.result.get("baseline")
    name = baseline.get("class") if isinstance(baseline, dict) else None
    if name not in predictions.classes:
        return {}
    label = predictions.classes.index(name)
    return {"class": name, "test/acc": float((predictions.labels == label).double().mean())}


def gain_note(change: str, before: dict[str, float], after: dict[str, float]) -> str:
    """Return a line with the differences of the scores."""
    parts = [f"{name} {after[name] - before[name]:+.4f} (from {before[name]:.4f})" for name in METRICS]
    return f"gain       {change}: {', '.join(parts)}"


def comparison_note(run: StoredRun, scores: dict[str, float]) -> str:
    """Return a line that says whether the scores are exactly those of the run's own test."""
    stored = {name: run.metrics.get(name) for name in METRICS}
    if stored == scores:
        return "the run    has exactly the same scores"
    text = ", ".join(f"{name} {value}" for name, value in stored.items() if value is not None)
    return f"the run    has {text or 'no test scores'}; now {', '.join(f'{k} {v}' for k, v in scores.items())}"


def write_report(report: Report, folder: Path) -> str:
    """Write the report of an evaluation and return the paths of its files.

    The files are named `test`, followed by a hash of the options and the checkpoint unless it is the run's own test.
    """
    own = not report.options and report.checkpoint.endswith("best.ckpt")
    identity = "\n".join([*report.options, report.checkpoint])
    stem = "test" if own else f"test-{hashlib.sha256(identity.encode()).hexdigest()[:6]}"
    try:
        paths = report.write(folder, stem)
    except OSError as error:
        accepted = "a folder that you may write to"
        raise config_error("--output", folder, f"cannot be written ({error.strerror})", accepted) from error
    return f"{relative(paths[0])}, {', '.join(path.name for path in paths[1:])}"


def predict_test_split(
    model: SupervisedModel, data: DataModule, cfg: DictConfig, views: int = 1
) -> tuple[Predictions, dict[str, float]]:
    """Return predictions on the test split, and `test/acc` and `test/loss` bitwise as the run computed them.

    Args:
        views: number of views of each image whose probabilities are averaged (test-time augmentation): the image
            itself, and versions augmented as in training. The scores are those of the first view.
    """
    augment = load_augmentation(cfg) if views > 1 else None
    apply_model_options(model, cfg)
    logits: list[Tensor] = []
    model.register_forward_hook(lambda module, inputs, output: logits.append(output.detach().float().cpu()))
    trainer = build_inference_trainer(cfg)
    [scores] = trainer.test(model, data, verbose=False)
    probabilities = [model.interpret(torch.cat(logits))]
    for view in range(1, views):
        logits.clear()
        loader = data.loader("test")
        loader.augment = partial(augment, classes=len(data.classes)) if augment else None
        loader.sampler.seed = view  # Lightning starts each test at epoch 0, so the seed varies the draws
        trainer.test(model, loader, verbose=False)
        probabilities.append(model.interpret(torch.cat(logits)))
    mean = torch.stack(probabilities).mean(dim=0)
    labels = data.splits["test"].y[: len(mean)].cpu()  # fewer with trainer.limit_test_batches
    return Predictions(mean, labels, model.spec.classes), {name: float(value) for name, value in scores.items()}


def load_augmentation(cfg: DictConfig) -> Augmentation:
    """Return the augmentation of the run's training images, without MixUp and CutMix."""
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
