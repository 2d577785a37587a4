"""An ensemble of jobs of a sweep, whose predicted probabilities are averaged."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.config.composition import objective_mode
from trainyard.data.loading.spec import DataSpec
from trainyard.history.find_run import best_job
from trainyard.history.saved_predictions import SavedPredictions, read_predictions
from trainyard.history.scores import same_examples
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import config_error, join_limited
from trainyard.models.classifier import Classifier
from trainyard.sweeps.stored import StoredSweep
from trainyard.tasks.classification import load_classifier

BEST = "best:"


@dataclass(frozen=True)
class Selection:
    """The members of an ensemble.

    Attributes:
        jobs: members with their weights, which sum to the size of the ensemble.
        best: the best single job.
        candidates: number of jobs that were considered.
        skipped: number of completed jobs without saved predictions of the same validation examples.
        best_accuracy, accuracy: on validation, of the best job and of the ensemble.
    """

    jobs: dict[StoredRun, int]
    best: StoredRun
    candidates: int
    skipped: int
    best_accuracy: float
    accuracy: float


def select_members(name: str, size: int) -> Selection:
    """Select members of an ensemble from a sweep by their saved validation predictions.

    Args:
        name: `best:SWEEP`.
        size: number of members, counted with repetition.

    Raises:
        ConfigError: there is no such sweep, no completed job, or none that saved its predictions.
    """
    if not name.startswith(BEST):
        raise config_error("--ensemble", size, f"{name} is one model", "best:SWEEP as the RUN")
    best, sweep = best_job(name), StoredSweep.find(name.removeprefix(BEST))
    reference = read_predictions(best.folder)
    if reference is None:
        problem = f"{best.name} did not save predictions of its validation examples"
        raise config_error("--ensemble", size, problem, "a sweep with callbacks=default or pictures")
    completed = [StoredRun(job.folder) for job in sweep.jobs if job.score is not None]
    jobs, probabilities = [], []
    for job in completed:
        saved = read_predictions(job.folder) if same_examples(best, job) else None  # folds may have equal labels
        if saved is not None and same_labels(reference, saved):
            jobs.append(job)
            probabilities.append(torch.from_numpy(saved.probabilities))
    labels = torch.from_numpy(reference.labels)
    counts = greedy_selection(probabilities, labels, size, objective_mode(sweep.objective) == "min")
    mean = torch.stack([probabilities[position] * count for position, count in counts.items()]).sum(dim=0)
    return Selection(
        {jobs[position]: count for position, count in sorted(counts.items())},
        best,
        len(jobs),
        len(completed) - len(jobs),
        float(reference.correct.mean()),
        float((mean.argmax(dim=1) == labels).float().mean()),
    )


def same_labels(one: SavedPredictions, other: SavedPredictions) -> bool:
    """Whether two runs were validated on examples with the same labels."""
    return one.classes == other.classes and one.labels.tolist() == other.labels.tolist()


def greedy_selection(predictions: Sequence[Tensor], labels: Tensor, size: int, by_loss: bool = False) -> Counter[int]:
    """Return how often each model is in an ensemble found by greedy selection (Caruana et al. 2004, ICML).

    Starting from an empty ensemble, `size` times the model is added that makes the mean of all best. A model may be
    added more than once.

    Args:
        predictions: of each model, probabilities `[N, K]` of the same examples.
        labels: int64 `[N]`.
        size: number of members, counted with repetition.
        by_loss: minimise the loss instead of maximising the accuracy; the other decides between equal ones.

    Returns:
        The weight of each selected model by its position.
    """
    members: Counter[int] = Counter()
    total = torch.zeros_like(predictions[0])
    for count in range(1, size + 1):
        ranked = []
        for position, one in enumerate(predictions):
            loss, correct = loss_and_correct((total + one) / count, labels)
            ranked.append((*((loss, -correct) if by_loss else (-correct, loss)), position))
        best = int(min(ranked)[-1])
        members[best] += 1
        total = total + predictions[best]
    return members


def loss_and_correct(probabilities: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the mean cross-entropy, which is finite, and the number of correct predictions."""
    loss = F.nll_loss(probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log(), labels)
    return float(loss), float((probabilities.argmax(dim=1) == labels).sum())


class Ensemble(nn.Module):
    """Averages the predictions of models on the same raw inputs.

    Args:
        members: models for the same data.
        weights: of each member.
    """

    def __init__(self, members: Sequence[Classifier], weights: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = list(weights)
        self.spec: DataSpec = members[0].spec

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        pairs = zip(self.members, self.weights, strict=True)
        weighted = [member.predict_step(batch, batch_idx) * weight for member, weight in pairs]  # type: ignore[operator]
        return torch.stack(weighted).sum(dim=0) / sum(self.weights)


def load_members(jobs: Sequence[StoredRun], trusted: Sequence[str] = ()) -> list[Classifier]:
    """Load the best checkpoint of each job.

    Raises:
        ConfigError: a checkpoint was not kept, or the inputs or classes differ from those of the first job.
    """
    for job in jobs:
        if not job.checkpoint.is_file():
            raise config_error("--ensemble", job.name, "its checkpoint was not kept", "a sweep with sweep.keep=null")
    members = [load_classifier(job.checkpoint, trusted) for job in jobs]
    specs = [(spec.input_shape, spec.classes, spec.columns, spec.value_range) for spec in (m.spec for m in members)]
    if others := [job.name for job, spec in zip(jobs, specs, strict=True) if spec != specs[0]]:
        problem = f"the inputs or classes differ from those of {jobs[0].name}"
        raise config_error("--ensemble", join_limited(others), problem, "jobs on the same data")
    return members


def load_ensemble(name: str, size: int, trusted: Sequence[str] = ()) -> Ensemble:
    """Return the ensemble of a sweep, ready to predict; see `select_members` and `load_members`."""
    chosen = select_members(name, size)
    return Ensemble(load_members(list(chosen.jobs), trusted), list(chosen.jobs.values())).eval()
