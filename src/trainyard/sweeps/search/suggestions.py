"""The next configuration of a search, drawn by one of Optuna's samplers from what the earlier ones scored."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from trainyard.errors import reject
from trainyard.sweeps.search.distributions import as_text, joined
from trainyard.sweeps.search.where import Where
from trainyard.sweeps.search_space import configuration_of, typed
from trainyard.sweeps.sweep import Sweep

PATIENCE = 200  # draws for a combination that is new and meets the condition, before all are looked through

MakeSampler = Callable[..., BaseSampler]


class Suggestions:
    """Draws configurations, none twice; each is run with all seeds and folds of the space.

    Each draw has a generator of its own, seeded by the seed of the search and the number of the job. So a search that
    was killed draws what it would have drawn, if the same jobs have ended by then; `RandomSampler` does in any case.

    Args:
        sweep: whose space is drawn from, and whose journal tells the scores.
        sampler: called with `seed`, gives one of Optuna's samplers.
        seed: of the search.
    """

    def __init__(self, sweep: Sweep, sampler: MakeSampler, seed: int) -> None:
        self.space = space = sweep.stored.space
        self.journal = sweep.journal
        self.axes = sweep.journal.axes
        self.study_storage = sweep.journal.by_configuration() if len(space.replicates) > 1 else sweep.journal.by_job()
        self.chosen = space.axes_together()
        self.sampler = sampler
        self.seed = seed
        self.condition = Where(space.where, space.values) if space.where else None
        self.tried = {frozenset(configuration_of(job.overrides)) for job in sweep.jobs}

    def next(self, number: int) -> list[list[str]]:
        """Return the overrides of the jobs of a configuration; nothing where all have been drawn.

        Args:
            number: of the first of these jobs.

        Raises:
            ConfigError: no combination meets the condition.
        """
        trial = self.journal.draw(number)
        for values in self.draws(number, trial):
            configuration = frozenset(configuration_of(typed(values)))
            if configuration not in self.tried and (jobs := self.replicated(values)):
                self.tried.add(configuration)
                return jobs
        if self.space.where and not self.tried:
            raise reject("sweep.where", self.space.where, "no combination was found that meets it", "a wider one")
        return []

    def replicated(self, values: Mapping[str, str]) -> list[list[str]]:
        """Return the overrides of each replicate of a configuration that meets the condition."""
        jobs = [{key: {**values, **replicate}[key] for key in values} for replicate in self.space.replicates]
        return [typed(job) for job in jobs if self.condition is None or self.condition.holds(job)]

    def draws(self, number: int, trial: int) -> Iterator[dict[str, str]]:
        """Yield combinations: some that the sampler draws, then, of single values, all that there are."""
        for attempt in range(PATIENCE):
            seed = random.Random(f"{self.seed} {number} {attempt}").getrandbits(32)
            yield self.draw(self.sampler(seed=seed), self.study_storage.get_trial(trial))
        if not self.space.intervals:
            yield from self.space.combinations()

    def draw(self, sampler: BaseSampler, trial: FrozenTrial) -> dict[str, str]:
        """Return the values of a combination by their key."""
        study = Study(self.journal.name, self.study_storage)  # a new one: it keeps the trials that it has seen
        sampler.before_trial(study, trial)
        together = sampler.infer_relative_search_space(study, trial)
        drawn: dict[str, Any] = sampler.sample_relative(study, trial, together)
        found: dict[str, str] = {}
        for name, values in self.chosen.items():
            if name not in self.axes:
                found |= values[0]
                continue
            axis = self.axes[name]
            value = drawn[name] if name in drawn else sampler.sample_independent(study, trial, name, axis)
            text = as_text(value, axis)
            found |= {name: text} if name in self.space.intervals else next(v for v in values if joined(v) == text)
        return {key: found[key] for key in self.space.values}
