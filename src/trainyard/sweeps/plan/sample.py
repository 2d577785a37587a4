"""The jobs that a plan looks at."""

from trainyard.sweeps.job import DONE, Job
from trainyard.sweeps.search.probes import probes
from trainyard.sweeps.stored import StoredSweep


def sample(sweep: StoredSweep, trials: int | None) -> tuple[list[Job], int, int]:
    """Return the jobs that are left, and those that stand for what a search will draw; how many are to do; and all.

    Args:
        sweep: as its directory tells of it.
        trials: configurations of a search, in total; `None` for a grid.
    """
    left = [job for job in sweep.jobs if job.status not in DONE]
    total = sweep.jobs_of(trials)
    count = total - len(sweep.jobs) + len(left)
    if count > len(left):
        left += [Job(total + place, words, sweep.folder) for place, words in enumerate(probes(sweep.space))]
    return left, count, total
