"""Drawing the configurations of a search with one of Optuna's samplers."""

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainyard.io.errors import config_error
from trainyard.sweeps.distributions import as_text
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal, latest_by_job
from trainyard.sweeps.search_space import SearchSpace, as_overrides, configuration_of

MAX_DRAWS = 200  # for a new combination that meets the condition; then all combinations are tried in order


class ConfigurationSampler:
    """Draws configurations, none twice; each has a job for every replicate.

    Each draw has its own seed, from the seed of the search and the number of the job. A search that was killed
    therefore draws the same configurations, given the same finished jobs.

    Args:
        make_sampler: called with `seed`, returns one of Optuna's samplers.
        seed: of the search.
    """

    def __init__(
        self, space: SearchSpace, journal: Journal, make_sampler: Callable[..., BaseSampler], seed: int
    ) -> None:
        self.space = space
        self.journal = journal
        self.distributions = journal.distributions
        self.make_sampler = make_sampler
        self.seed = seed

    def sample(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs of a new configuration, given all earlier jobs; none if all have been drawn."""
        known = {frozenset(configuration_of(job.overrides)) for job in jobs}
        for values, state in self.draw(jobs):
            if frozenset(configuration_of(as_overrides(values))) in known:
                continue
            repeated = [self.space.combine([values, replicate]) for replicate in self.space.replicates]
            allowed = [as_overrides(job_values) for job_values in repeated if self.space.allows(job_values)]
            if allowed:
                drawn = Job.from_overrides(allowed, self.journal.folder, first=len(jobs))
                return [replace(job, sampler_state=state) for job in drawn]
        if self.space.where and not known:
            raise config_error("sweep.where", self.space.where, "no combination meets it", "a wider condition")
        return []

    def draw(self, jobs: Sequence[Job]) -> Iterator[tuple[dict[str, str], Mapping[str, object]]]:
        """Yield drawn combinations with the state of the sampler; then, without intervals, all combinations."""
        study = self.create_study(jobs)
        for attempt in range(MAX_DRAWS):
            study.sampler = self.make_sampler(seed=random.Random(f"{self.seed} {len(jobs)} {attempt}").getrandbits(32))
            trial = study.ask(self.distributions)
            yield self.format_parameters(trial.params), study.get_trials(deepcopy=False)[trial.number].system_attrs
        if not self.space.intervals:
            yield from ((values, {}) for values in self.space.combinations())

    def create_study(self, jobs: Sequence[Job]) -> Study:
        """Return a study in memory with one trial for each configuration."""
        groups: dict[tuple[str, ...], list[FrozenTrial]] = {}
        for number, trial in sorted(latest_by_job(self.journal.trials()).items()):
            groups.setdefault(configuration_of(jobs[number].overrides), []).append(trial)
        study = optuna.create_study(study_name=self.journal.study.study_name, direction=self.journal.study.direction)
        study.add_trials(map(merge_replicates, groups.values()))
        return study

    def format_parameters(self, drawn: Mapping[str, object]) -> dict[str, str]:
        """Return drawn parameters as text by key, with the first value of all other keys."""
        parts: list[dict[str, str]] = []
        for name, choices in self.space.choices().items():
            if name not in drawn:
                parts.append(choices[0])
                continue
            text = as_text(drawn[name], self.distributions[name])
            by_text = {",".join(choice.values()): choice for choice in choices}
            parts.append(by_text.get(text, {name: text}))  # a number from an interval is not among the choices
        return self.space.combine(parts)


def merge_replicates(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    """Return one trial for a configuration: running or pruned if one is, else with the mean of the values."""
    unfinished = [trial for trial in trials if not trial.state.is_finished()]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if unfinished or pruned or not completed:
        return [*unfinished, *pruned, *trials][0]
    first = completed[0]
    return create_trial(
        value=statistics.fmean(trial.values[0] for trial in completed),
        params=first.params,
        distributions=first.distributions,
        system_attrs=first.system_attrs,
        intermediate_values=first.intermediate_values,
    )
