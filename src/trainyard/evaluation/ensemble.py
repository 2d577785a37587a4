"""Several jobs of a sweep as one model, whose probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainyard.config import objective_mode
from trainyard.data.loading.spec import DataSpec
from trainyard.errors import listing, reject
from trainyard.evaluation.greedy import greedy_selection
from trainyard.evaluation.kept_predictions import KeptPredictions, read_predictions
from trainyard.history.find_run import best_job
from trainyard.history.scores import same_examples
from trainyard.history.stored_run import StoredRun
from trainyard.models.classifier import Classifier
from trainyard.models.load import load_model
from trainyard.sweeps.stored import StoredSweep

BEST = "best:"


@dataclass(frozen=True)
class Selection:
    """The jobs that greedy selection took.

    Attributes:
        jobs: with how often each is in.
        best: the job that is best alone.
        candidates: how many jobs were tried.
        left_out: completed jobs without predictions of the same validation examples.
        alone, together: validation accuracy of the best job, and of all that were taken.
    """

    jobs: dict[StoredRun, int]
    best: StoredRun
    candidates: int
    left_out: int
    alone: float
    together: float


def select(name: str, size: int) -> Selection:
    """Choose members of an ensemble of a sweep by their predictions on validation.

    Args:
        name: `best:SWEEP`.
        size: members, counted as often as they are in.

    Raises:
        ConfigError: no such sweep, no completed job, or none that kept its predictions.
    """
    if not name.startswith(BEST):
        raise reject("--ensemble", size, f"{name} is one model", "best:SWEEP as the RUN")
    best, sweep = best_job(name), StoredSweep.find(name.removeprefix(BEST))
    reference = read_predictions(best.folder)
    if reference is None:
        problem = f"{best.name} kept no predictions of its validation examples"
        raise reject("--ensemble", size, problem, "a sweep with callbacks=default or pictures")
    done = [StoredRun(job.folder) for job in sweep.jobs if job.score is not None]
    same = [job for job in done if same_examples(best, job)]  # other folds may have the same labels
    kept = {job: found for job in same if alike(reference, found := read_predictions(job.folder))}
    probabilities = [torch.from_numpy(found.probabilities) for found in kept.values() if found]
    labels = torch.from_numpy(reference.labels)
    taken = greedy_selection(probabilities, labels, size, objective_mode(sweep.objective) == "min")
    jobs = list(kept)
    mean = sum(probabilities[place] * times for place, times in taken.items())
    assert isinstance(mean, Tensor)
    return Selection(
        {jobs[place]: times for place, times in sorted(taken.items())},
        best,
        len(kept),
        len(done) - len(kept),
        float(reference.correct.mean()),
        float((mean.argmax(dim=1) == labels).float().mean()),
    )


def alike(one: KeptPredictions, other: KeptPredictions | None) -> bool:
    """Whether two runs were validated on the same examples, as far as labels and classes tell."""
    return other is not None and one.classes == other.classes and one.labels.tolist() == other.labels.tolist()


class Ensemble(nn.Module):
    """Averages what its members say; takes the raw inputs that each of them takes.

    Args:
        members: models that know the same data.
        times: how often each counts.
    """

    def __init__(self, members: Sequence[Classifier], times: Sequence[int]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.times = list(times)
        self.spec: DataSpec = members[0].spec

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the probability of each class, `[B, K]`."""
        pairs = zip(self.members, self.times, strict=True)
        said = [member.predict_step(batch, batch_idx) * times for member, times in pairs]  # type: ignore[operator]
        return torch.stack(said).sum(dim=0) / sum(self.times)


def load_members(jobs: Sequence[StoredRun], trusted: Sequence[str] = ()) -> list[Classifier]:
    """Load the best checkpoint of each job.

    Raises:
        ConfigError: one was not kept, or they take other inputs than the first.
    """
    for job in jobs:
        if not job.checkpoint.is_file():
            raise reject("--ensemble", job.name, "its checkpoint was not kept", "a sweep with sweep.keep=null")
    members = [load_model(job.checkpoint, trusted) for job in jobs]
    first = members[0].spec
    other = [
        job.name
        for job, model in zip(jobs, members, strict=True)
        if (model.spec.input_shape, model.spec.classes, model.spec.columns, model.spec.value_range)
        != (first.input_shape, first.classes, first.columns, first.value_range)
    ]
    if other:
        raise reject(
            "--ensemble", listing(other), f"other inputs than those of {jobs[0].name}", "jobs on the same data"
        )
    return members


def ensemble_of(name: str, size: int, trusted: Sequence[str] = ()) -> Ensemble:
    """Return the ensemble of a sweep, ready to predict; see `select` and `load_members`."""
    chosen = select(name, size)
    return Ensemble(load_members(list(chosen.jobs), trusted), list(chosen.jobs.values())).eval()
