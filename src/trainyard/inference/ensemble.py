"""An ensemble of jobs of a sweep, whose predictions are averaged: probabilities or numbers."""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.data.loading.spec import DataSpec
from trainyard.history.find_run import find_best_job
from trainyard.history.scores import FILE, have_same_examples
from trainyard.history.stored_config import config_to_test
from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import NO_PROBABILITIES, has_class_report
from trainyard.io.errors import config_error, join_limited
from trainyard.models.supervised import SupervisedModel
from trainyard.reports.class_predictions import load_classifier
from trainyard.reports.saved_predictions import load_split
from trainyard.sweeps.stored import StoredSweep
from trainyard.tasks.task import Task
from trainyard.tasks.thresholds import find_thresholds

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
    reference = load_split(best.folder / FILE)
    if reference is None:
        if not has_class_report(config_to_test(best, trusted=trusted), trusted):
            raise config_error("--ensemble", size, NO_PROBABILITIES, "a sweep of models of the options of conf/model")
        problem = f"{best.name} did not save predictions of its validation examples"
        raise config_error("--ensemble", size, problem, "a sweep with callbacks=default or pictures")
    jobs, predictions = [], []
    for job in (StoredRun(job.folder) for job in sweep.jobs if job.score is not None):
        saved = load_split(job.folder / FILE) if have_same_examples(best, job) else None  # folds may have equal labels
        if saved and saved.names == reference.names and torch.equal(saved.targets, reference.targets):
            jobs.append(job)
            predictions.append(saved.predictions)
    weights = greedy_selection(predictions, reference.targets, size, sweep.objective.mode == "min")
    return Selection({jobs[position]: weight for position, weight in sorted(weights.items())}, best, len(jobs))


def greedy_selection(predictions: Sequence[Tensor], targets: Tensor, size: int, by_loss: bool = False) -> Counter[int]:
    """Return the weight of each model, by its position, in a greedily selected ensemble (Caruana et al. 2004, ICML).

    The ensemble starts empty. `size` times, the model that improves the mean prediction most is added; a model may be
    added more than once.

    Args:
        predictions: of each model, probabilities or numbers `[N, K]` of the same examples.
        targets: class labels, int64 `[N]`; numbers, or whether each label is present, `[N, K]`.
        size: number of members, counted with repetition.
        by_loss: minimise the loss, and break ties by the accuracy; otherwise the other way round. Without classes, only
            the loss counts.
    """
    members: Counter[int] = Counter()
    total = torch.zeros_like(predictions[0])
    for count in range(1, size + 1):
        ranked = []
        for position, own in enumerate(predictions):
            loss, correct = loss_and_correct((total + own) / count, targets)
            ranked.append((*((loss, -correct) if by_loss else (-correct, loss)), position))
        best = int(min(ranked)[-1])
        members[best] += 1
        total = total + predictions[best]
    return members


def loss_and_correct(predictions: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the mean loss, which is finite, and the number of correctly predicted classes; 0 for other targets.

    The loss is the cross-entropy of classes, that of labels, or the squared error in units of each number's variance.
    """
    if targets.ndim == 1:
        loss = F.nll_loss(predictions.clamp(min=torch.finfo(predictions.dtype).tiny).log(), targets)
        return float(loss), float((predictions.argmax(dim=1) == targets).sum())
    if targets.dtype == torch.bool:
        return float(F.binary_cross_entropy(predictions.nan_to_num(0).clamp(0, 1), targets.float())), 0.0
    variance = targets.double().var(dim=0, correction=0).clamp(min=torch.finfo(torch.float32).tiny)
    return float(((predictions.double() - targets).square() / variance).mean()), 0.0


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
    found = [find_thresholds(other) for other in tasks]
    for name in {name for thresholds in found for name in thresholds}:
        values = [thresholds.get(name, torch.tensor(0.5)) for thresholds in found]
        setattr(task, name, weighted_mean(values, weights))
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
    members = [load_classifier(job.checkpoint, trusted) for job in jobs]
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
