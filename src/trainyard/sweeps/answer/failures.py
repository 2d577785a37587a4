"""Failures of a sweep, by their cause."""

from collections.abc import Sequence

from trainyard.sweeps.job import Job


def grouped(jobs: Sequence[Job], axes: Sequence[str]) -> list[str]:
    """Return a line for each cause of failures, with the overrides that all of its jobs share and no other job has."""
    failed = [job for job in jobs if job.status == "failed"]
    causes: dict[str, list[Job]] = {}
    for job in failed:
        causes.setdefault(cause_of(job), []).append(job)
    lines = []
    for cause, members in causes.items():
        others = [job for job in jobs if job not in members]
        shared = set.intersection(*(set(job.overrides) for job in members))
        shared = {o for o in shared if o.partition("=")[0] in axes and all(o not in job.overrides for job in others)}
        have = f" (all {len(members)} have {' '.join(sorted(shared))})" if shared and len(members) > 1 else ""
        numbers = ", ".join(f"#{job.number}" for job in members)
        lines.append(f"{len(members)} failed: {cause}{have}: {numbers}")
    return lines


def cause_of(job: Job) -> str:
    """Return the first line of an error, with the next where it ends in a colon; lines that are empty are none."""
    said = [line.strip() for line in str(job.result.get("error") or "").splitlines() if line.strip()]
    words = " ".join(said[: 2 if said and said[0].endswith(":") else 1])
    return words.rstrip(": ") or "unknown"
