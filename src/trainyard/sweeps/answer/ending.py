"""What a person is told when a sweep ends."""

from trainyard.run_directory import DONE
from trainyard.sweeps.answer.failures import grouped
from trainyard.sweeps.answer.report import text, write_report
from trainyard.sweeps.stored import StoredSweep


def ending(sweep: StoredSweep) -> tuple[str, bool]:
    """Write the leaderboard; return it with the causes of failures below, and whether all jobs are done."""
    write_report(sweep)
    troubles = grouped(sweep.jobs, list(sweep.space.axes))
    if undone := [f"#{job.number}" for job in sweep.jobs if job.status not in (*DONE, "failed")]:
        troubles.append(f"{len(undone)} not done: {', '.join(undone)}; the same command goes on with them")
    return "\n".join([text(sweep), *troubles]), not troubles
