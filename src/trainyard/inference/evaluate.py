"""Evaluates a trained run or an ensemble on its test split or on other data."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

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
from trainyard.inference.capabilities import NOT_INTERPRETED, has_report, load_supervised_model
from trainyard.inference.ensemble import average_thresholds, load_members, select_members
from trainyard.inference.evaluation_data import OWN_TEST_SPLIT, load_evaluation_data, overlap_notes, worst_examples
from trainyard.inference.module_evaluation import ModuleEvaluation, evaluate_module
from trainyard.inference.trainer import apply_model_options, build_inference_trainer
from trainyard.io.errors import config_error
from trainyard.io.files import relative
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import ClassPredictions
from trainyard.reports.classification_report import ClassificationReport
from trainyard.reports.evaluation_report import TEST, Evaluation
from trainyard.reports.label_predictions import LabelPredictions
from trainyard.reports.label_report import LabelReport
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.regression_report import RegressionReport
from trainyard.reports.split_predictions import SplitPredictions, split_predictions
from trainyard.run.threads import read_threads, use_threads
from trainyard.tasks.metrics import compute_metrics
from trainyard.tasks.task import Task

TOLERANCE = 1e-3  # relative, between a score of the test and the same one computed from the predictions

REPORTS: dict[type[SplitPredictions], type[Evaluation]] = {
    ClassPredictions: ClassificationReport,
    NumberPredictions: RegressionReport,
    LabelPredictions: LabelReport,
}
Report = Evaluation | ModuleEvaluation


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
    if not has_report(cfg, trusted):
        if views > 1:
            raise config_error("--tta", run.name, NOT_INTERPRETED, "a run of a model of Trainyard on images")
        return evaluate_module(run, checkpoint, cfg, overrides, trusted), run.folder
    model = load_supervised_model(checkpoint, trusted)
    data, examples = load_evaluation_data(cfg, run, model.spec, trusted)
    with use_threads(read_threads(run.folder)):
        each, scores = predict_test_split(model, data, cfg, views)
    predictions = describe(model.task, data, each[0])
    options = [*overrides]
    notes = overlap_notes(data, run, examples, trusted)
    if views > 1:
        single = scores
        predictions, scores = average(model.task, data, each.mean(dim=0), predictions, single)
        notes.append(gain_note(f"{views} views of each image", single, scores))
        options.append("--tta")
    elif examples == OWN_TEST_SPLIT and checkpoint == run.checkpoint:
        notes.append(comparison_note(run, scores))
    title = {"name": run.name, "checkpoint": relative(checkpoint), "examples": examples}
    return report_on(predictions, run, data, **title, scores=scores, options=options, notes=notes), run.folder


def evaluate_ensemble(
    name: str, size: int, overrides: Sequence[str] = (), trusted: Sequence[str] = ()
) -> tuple[Evaluation, Path]:
    """Evaluate an ensemble of a sweep and compare it with the best job alone; see `evaluate` and `select_members`."""
    selection = select_members(name, size, trusted)
    best = selection.best
    jobs = list(dict.fromkeys([*selection.jobs, best]))
    models = dict(zip(jobs, load_members(jobs, trusted), strict=True))
    model = models[best]
    data, examples = load_evaluation_data(config_to_test(best, overrides, trusted), best, model.spec, trusted)
    results = {
        job: predict_test_split(member, data, config_to_test(job, overrides, trusted)) for job, member in models.items()
    }
    weighted = torch.cat([results[job][0] * weight for job, weight in selection.jobs.items()])
    alone, best_scores = results[best]
    single = describe(model.task, data, alone[0])
    task = average_thresholds([models[job].task for job in selection.jobs], [*selection.jobs.values()])
    predictions, scores = average(task, data, weighted.sum(dim=0) / size, single, best_scores)
    members = [f"{job.name} x {weight}" if weight > 1 else job.name for job, weight in selection.jobs.items()]
    notes = [
        *overlap_notes(data, best, examples, trusted),
        f"members    {', '.join(members)} (of {selection.candidates} jobs)",
        gain_note(f"against {best.name} alone", best_scores, scores),
    ]
    options = [*overrides, f"--ensemble {size}"]
    title = {"name": f"{name} x {size}", "checkpoint": f"{len(selection.jobs)} checkpoints", "examples": examples}
    return report_on(predictions, best, data, **title, scores=scores, options=options, notes=notes), best.folder.parent


def describe(task: Task, data: DataModule, predictions: Tensor) -> SplitPredictions:
    """Return predictions of the first test examples with what the task decides and what is true."""
    return split_predictions(task, predictions, true_values(data, predictions))


def true_values(data: DataModule, predictions: Tensor) -> Tensor:
    """Return the targets of the test examples that are predicted: not all with `trainer.limit_test_batches`."""
    return data.splits["test"].y[: len(predictions)].cpu()


def report_on(predictions: SplitPredictions, run: StoredRun, data: DataModule, **fields: Any) -> Evaluation:
    """Return the report on predictions of test examples, with the scores of the simplest prediction of a run."""
    stored = run.result.get("baseline")
    baseline = predictions.baseline(stored) if isinstance(stored, dict) else {}
    report = REPORTS[type(predictions)]
    return report(predictions=predictions, baseline=baseline, worst=worst_examples(predictions, data), **fields)


def average(
    task: Task, data: DataModule, mean: Tensor, single: SplitPredictions, scores: Mapping[str, float]
) -> tuple[SplitPredictions, dict[str, float]]:
    """Return averaged predictions of the test split, and those scores of a test that can be computed from them.

    Args:
        task: decides what is predicted.
        data: with the test split.
        mean: averaged predictions, `[N, ...]`.
        single: predictions of a model.
        scores: of the test of that model.
    """
    predictions = describe(task, data, mean)
    further = compute_metrics(task, mean, true_values(data, mean))
    found = same_scores(predictions, single, scores)
    found |= {f"{TEST}{name}": value for name, value in further.items() if math.isfinite(value)}
    return predictions, {name: found[name] for name in scores if name in found}


def same_scores(
    predictions: SplitPredictions, known: SplitPredictions, scores: Mapping[str, float]
) -> dict[str, float]:
    """Return the scores of predictions that are defined as those of a test, whose predictions are known.

    A loss may not be one of predictions.
    """
    found = predictions.scores
    return {
        f"{TEST}{name}": found[name]
        for name, value in known.scores.items()
        if math.isclose(value, scores.get(f"{TEST}{name}", math.nan), rel_tol=TOLERANCE, abs_tol=TOLERANCE**2)
    }


def gain_note(change: str, before: dict[str, float], after: dict[str, float]) -> str:
    """Return a line with the differences of the scores."""
    parts = [f"{name} {value - before[name]:+.4f} (from {before[name]:.4f})" for name, value in after.items()]
    return f"gain       {change}: {', '.join(parts)}"


def comparison_note(run: StoredRun, scores: dict[str, float]) -> str:
    """Return a line that says whether the scores are exactly those of the run's own test."""
    stored = {name: run.metrics.get(name) for name in scores}
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
) -> tuple[Tensor, dict[str, float]]:
    """Return predictions of the test split, `[views, N, ...]`, and its metrics bitwise as the run computed them.

    Metrics that are not finite are left out, as in the result of a run.

    Args:
        model: the trained model.
        data: with the examples.
        cfg: of the run.
        views: number of views of each image (test-time augmentation): the image itself, whose metrics are returned, and
            versions augmented as in training.
    """
    augment = load_augmentation(cfg) if views > 1 else None
    apply_model_options(model, cfg)
    outputs: list[Tensor] = []
    model.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach().float().cpu()))
    trainer = build_inference_trainer(cfg)
    [scores] = trainer.test(model, data, verbose=False)
    predictions = [model.interpret(torch.cat(outputs))]
    for view in range(1, views):
        outputs.clear()
        loader = data.loader("test")
        loader.augment = partial(augment, classes=len(model.spec.classes)) if augment else None
        loader.sampler.seed = view  # Lightning starts each test at epoch 0, so the seed varies the draws
        trainer.test(model, loader, verbose=False)
        predictions.append(model.interpret(torch.cat(outputs)))
    finite = {name: float(value) for name, value in scores.items() if math.isfinite(value) or name == f"{TEST}loss"}
    return torch.stack(predictions), finite


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
