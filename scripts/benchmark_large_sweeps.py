"""Limits of a large sweep: `python scripts/benchmark_large_sweeps.py [JOBS]`; by default 10,000, with 150 MB of files.

Prints the rate of a journal with several writers, the cost of each job in the process of the sweep and in that of the
job, and the seconds of the commands that read all results. The results are synthetic: copies of one tiny run.
"""

import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import psutil
from benchmark_helpers import cpu_time, print_table, process_times, time_call, time_python
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from trainyard.config.objective import Objective
from trainyard.sweeps.job import Job
from trainyard.sweeps.journal import Journal, load_study, open_storage
from trainyard.sweeps.pruning import JobPruner
from trainyard.sweeps.sampling import ConfigurationSampler
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import JOURNAL, StoredSweep
from trainyard.sweeps.sweep import Sweep

JOBS, STEPS, SEEDS = 10_000, 4, 5
WRITERS, SECONDS, ROUNDS = (1, 16, 64), 5.0, 3
TINY = ("model=mlp", "model.hidden_dims=[4]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")
OBJECTIVE = Objective("val/acc", "max")
LOCKS = {"Optuna's lock": lambda file: JournalStorage(JournalFileBackend(str(file))), "trainyard": open_storage}


def append_scores(lock: str, file: Path, number: int, start: Any, pipe: Any) -> None:
    """Add scores to a trial of a journal for some seconds; send the milliseconds that each took."""
    storage = LOCKS[lock](file)
    study = load_study(storage)
    assert study is not None
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # not each wait of more than ten seconds
    trial = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(study.study_name), number)
    start.wait()
    durations: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        epoch = len(durations)
        durations.append(1000 * time_call(lambda: storage.set_trial_intermediate_value(trial, epoch, 0.5)))  # noqa: B023
    pipe.send(durations)


def measure_appends(lock: str, folder: Path, writers: int) -> list[float]:
    """Return the sorted milliseconds of all appends to a journal by several processes together."""
    folder.mkdir()
    journal = Journal(folder, OBJECTIVE)
    for job in Job.from_overrides([["seed=0"]] * writers, folder):
        journal.start(job)
    context = multiprocessing.get_context("fork")
    start, durations = context.Barrier(writers), list[float]()
    pipes = [context.Pipe(duplex=False) for _ in range(writers)]
    arguments = [(lock, folder / JOURNAL, number, start, sender) for number, (_, sender) in enumerate(pipes)]
    processes = [context.Process(target=append_scores, args=each) for each in arguments]
    for process in processes:
        process.start()
    for receiver, _ in pipes:
        durations += receiver.recv()
    for process in processes:
        process.join()
    return sorted(durations)


def print_appends(root: Path) -> None:
    """Print the rate of a journal for each number of writers and each lock, and how long an append takes."""
    rows = []
    for writers in WRITERS:
        rounds: dict[str, list[list[float]]] = {lock: [] for lock in LOCKS}
        for number in range(ROUNDS):
            for lock, measured in rounds.items():
                measured.append(measure_appends(lock, root / f"{lock} {writers} {number}", writers))
        for lock, measured in rounds.items():
            rate = statistics.median(len(each) / SECONDS for each in measured)
            late = [
                statistics.median(each[int(share * (len(each) - 1))] for each in measured) for share in (0.5, 0.99, 1)
            ]
            rows.append([f"{writers} writers, {lock}", f"{rate:.0f}", *(f"{value:.0f}" for value in late)])
    print_table("journal", ["appends/s", "median ms", "99 % ms", "longest ms"], rows)


def grid(jobs: int) -> SearchSpace:
    """Return the search space of a grid: twenty learning rates, ten dropout rates, weight decays and five seeds."""
    decays = ",".join(f"{1e-6 * number:.5g}" for number in range(jobs // (20 * 10 * SEEDS)))
    rates = ",".join(f"{1e-4 * number:.5g}" for number in range(1, 21))
    axes = [f"optimizer.lr={rates}", "model.dropout=range(0,0.5,0.05)", f"optimizer.weight_decay={decays}"]
    words = [*TINY, *axes, f"seed=range({SEEDS})"]
    return SearchSpace.parse(OverridesParser.create().parse_overrides(words))


def run_jobs(sweep: Sweep, template: Path, jobs: Sequence[Job]) -> float:
    """Start and end jobs of a sweep with copies of a run; return the CPU time of the sweep for each."""
    result, total = json.loads((template / "result.json").read_text()), 0.0
    for job in jobs:
        total += cpu_time(partial(sweep.start, job))
        result["objective"]["value"] = result["metrics"]["val/acc"] = 0.5 + job.number * 7919 % 10_007 / 25_000
        job.folder.mkdir()
        for name in ("config.yaml", "provenance.json", "run.log"):
            shutil.copyfile(template / name, job.folder / name)
        (job.folder / "result.json").write_text(json.dumps(result, indent=2))
        total += cpu_time(partial(sweep.finish, job, ""))
    return total / len(jobs)


def time_options(sweep: Sweep) -> list[float]:
    """Return the CPU times of `sweep.keep`, of a configuration drawn by TPE, and of a job that uses a pruner."""
    sampler = ConfigurationSampler(sweep.stored.space, sweep.journal, TPESampler, seed=0)
    ended = [job for job in sweep.jobs if job.has_ended]
    running = sweep.jobs[len(ended)]
    sweep.start(running)
    pruners: list[JobPruner | None] = []
    find = cpu_time(lambda: pruners.append(JobPruner.find(running.folder, "median", max_epochs=10)))
    assert pruners[0] is not None
    report = cpu_time(partial(pruners[0].report, 1, 0.5, {}))
    draw = cpu_time(partial(sampler.sample, [*ended, running]))
    return [cpu_time(partial(sweep.remove_checkpoints, 1)), draw, find, report]


def print_costs_per_job(folder: Path, template: Path, jobs: int) -> None:
    """Run a grid in this process, with jobs that end at once; print costs for each part of the jobs."""
    sweep = Sweep(StoredSweep.create(folder, grid(jobs + 20 * 10 * SEEDS), OBJECTIVE), retries=1)
    rows = []
    for first in range(0, jobs, jobs // STEPS):
        part = sweep.jobs[first : first + jobs // STEPS]
        cost = run_jobs(sweep, template, part)
        memory = psutil.Process().memory_info().rss / 2**20
        rows.append([first + len(part), *(f"{value:.1f}" for value in (cost, memory, *time_options(sweep)))])
    columns = ["start and end", "memory MiB", "keep=1", "draw with TPE", "find trial", "report epoch"]
    print_table("jobs, CPU ms", columns, rows)
    print(f"journal: {(folder / JOURNAL).stat().st_size / jobs:.0f} bytes per job")


def print_commands(root: Path) -> None:
    """Print the seconds and CPU seconds of commands that read all results."""
    rows = []
    for command in (["leaderboard", "many"], ["runs", "list"], ["runs", "list", "val/acc > 0.8", "--sort", "val/acc"]):
        seconds, cpu = process_times(["-m", "trainyard", *command], root)
        rows.append([" ".join(command), f"{seconds:.1f}", f"{cpu:.1f}"])
    print_table("command", ["seconds", "CPU seconds"], rows)


def main() -> None:
    """Print the three tables."""
    jobs = int(sys.argv[1]) if sys.argv[1:] else JOBS
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print_appends(root)
        template, folder = root / "template", root / "outputs" / "sweeps" / "many"
        time_python(["-m", "trainyard", *TINY, f"hydra.run.dir={template}"], root)
        folder.mkdir(parents=True)
        print_costs_per_job(folder, template, jobs)
        print_commands(root)


if __name__ == "__main__":
    main()
