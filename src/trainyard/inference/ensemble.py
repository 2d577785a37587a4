"""An ensemble of jobs of a sweep, whose predictions are averaged: probabilities or numbers."""

import math
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.history.find_run import find_best_job
from trainyard.history.saved_predictions import read_predictions
from trainyard.history.scores import have_same_examples
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import NOT_INTERPRETED, has_report, load_supervised_model
from trainyard.io.errors import config_error, join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.sweeps.stored import StoredSweep
from trainyard.tasks.task import Task

BEST = "best:"


@dataclass(frozen=True)
class Selection:
    """The members of an ensemble."""

    jobs: dict[StoredRun, int]  # members with their weights, which sum to the size of the ensemble
    best: StoredRun  # the best single job
    candidates: int  # jobs with saved predictions of the same validation examples


def select_members(name: str, size: int, trusted: Sequence[str] = ()) -> Selection:
    """Select members of an ensemble from the sweep `best:SWEEP` by their saved validation predictions."""
    if not name.startswith(BEST):
        raise config_error("--ensemble", size, f"{name} is one model", "best:SWEEP as the RUN")
    best, sweep = find_best_job(name), StoredSweep.find(name.removeprefix(BEST))
    reference = read_predictions(best.folder)
    if reference is None:
        if not has_report(config_to_test(best, trusted=trusted), trusted):
            raise config_error("--ensemble", size, NOT_INTERPRETED, "a sweep of models of Trainyard")
        problem = f"{best.name} did not save predictions of its validation examples"
        raise config_error("--ensemble", size, problem, "a sweep with callbacks=default or pictures")
    jobs, predictions = [], []
    for job in (StoredRun(job.folder) for job in sweep.jobs if job.score is not None):
        saved = read_predictions(job.folder) if have_same_examples(best, job) else None  # folds may have equal targets
        if saved and saved.names == reference.names and np.array_equal(saved.targets, reference.targets):
            jobs.append(job)
            predictions.append(torch.from_numpy(saved.predictions))
    targets, by_loss = torch.from_numpy(reference.targets), sweep.objective.mode == "min"
    weights = greedy_selection(predictions, targets, size, by_loss)
    return Selection({jobs[position]: weight for position, weight in sorted(weights.items())}, best, len(jobs))


def greedy_selection(predictions: Sequence[Tensor], targets: Tensor, size: int, by_loss: bool = False) -> Counter[int]:
    """Return the weight of each model, by its position, in a greedily selected ensemble (Caruana et al. 2004, ICML).

    The ensemble starts empty. `size` times, the model that improves the mean prediction most is added; a model may be
    added more than once.

    Args:
        predictions: of each model for the same examples, probabilities or numbers `[N, K]`.
        targets: of the examples, see `loss_and_score`.
        size: number of members, counted with repetition.
        by_loss: minimise the loss, and break ties by the score; otherwise the other way round.
    """
    members: Counter[int] = Counter()
    total = torch.zeros_like(predictions[0])
    for count in range(1, size + 1):
        ranked = []
        for position, added in enumerate(predictions):
            loss, score = loss_and_score((total + added) / count, targets)
            ranked.append((*((loss, -score) if by_loss else (-score, loss)), position))
        best = int(min(ranked)[-1])
        members[best] += 1
        total = total + predictions[best]
    return members


def loss_and_score(predictions: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the mean loss of predictions `[N, K]` and a score to maximise; neither is NaN.

    Args:
        predictions: probabilities or numbers.
        targets: labels of classes, int64 `[N]`: cross-entropy and number of correct predictions; whether each label is
            present, bool `[N, K]`: cross-entropy and micro F1 at a threshold of 0.5; numbers, float32 `[N, K]`: squared
            error in units of their variances, and its negative.
    """
    tiny = torch.finfo(predictions.dtype).tiny
    if targets.dtype.is_floating_point:
        errors = (predictions - targets).square() / targets.var(dim=0, correction=0).clamp(min=tiny)
        loss = float(errors.mean().nan_to_num(math.inf))
        return loss, -loss
    probabilities = predictions.nan_to_num(0).clamp(0, 1)
    if targets.ndim == 1:
        loss = float(F.nll_loss(probabilities.clamp(min=tiny).log(), targets))
        return loss, float((probabilities.argmax(dim=1) == targets).sum())
    decided = probabilities >= 0.5
    hits, wrong = int((decided & targets).sum()), int((decided != targets).sum())
    return float(F.binary_cross_entropy(probabilities, targets.float())), 2 * hits / max(1, 2 * hits + wrong)


class Ensemble(nn.Module):
    """Averages the weighted predictions of models on the same raw inputs."""

    def __init__(self, members: Sequence[SupervisedModel], weights: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = list(weights)
        self.spec: DataSpec = members[0].spec
        self.task = average_thresholds([member.task for member in members], weights)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the probability of each class or label, or the numbers, `[B, K]`."""
        return weighted_mean([member.predict_step(batch, batch_idx) for member in self.members], self.weights)  # type: ignore[operator]


def average_thresholds(tasks: Sequence[Task], weights: Sequence[int]) -> Task:
    """Return a copy of the first task with the weighted mean of all thresholds; a class without one has 0.5."""
    task = deepcopy(tasks[0])
    if any(other.thresholds for other in tasks):
        values = [torch.tensor(other.thresholds or [0.5]) for other in tasks]
        task.thresholds = weighted_mean(values, weights).tolist()
    return task


def weighted_mean(values: Sequence[Tensor], weights: Sequence[int]) -> Tensor:
    """Return the weighted mean of tensors of equal shape."""
    return torch.stack([value * weight for value, weight in zip(values, weights, strict=True)]).sum(dim=0) / sum(
        weights
    )


def load_members(jobs: Sequence[StoredRun], trusted: Sequence[str] = ()) -> list[SupervisedModel]:
    """Load the best checkpoint of each job."""
    for job in jobs:
        if not job.checkpoint.is_file():
            raise config_error("--ensemble", job.name, "its checkpoint was deleted", "a sweep with sweep.keep=null")
    members = [load_supervised_model(job.checkpoint, trusted) for job in jobs]
    interfaces = [
        (spec.input_shape, type(spec.target), spec.target.names, spec.columns, spec.value_range)
        for spec in (member.spec for member in members)
    ]
    others = [job.name for job, interface in zip(jobs, interfaces, strict=True) if interface != interfaces[0]]
    if others:
        problem = f"the inputs or targets differ from those of {jobs[0].name}"
        raise config_error("--ensemble", join_limited(others), problem, "jobs on the same data")
    return members


def load_ensemble(name: str, size: int, trusted: Sequence[str] = ()) -> Ensemble:
    """Return the ensemble of a sweep, ready to predict; see `select_members` and `load_members`."""
    selection = select_members(name, size, trusted)
    return Ensemble(load_members(list(selection.jobs), trusted), list(selection.jobs.values())).eval()
