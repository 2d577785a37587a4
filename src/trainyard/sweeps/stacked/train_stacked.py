"""Runs jobs whose models are trained together; each job is a call of `trainyard.run.training.train`."""

import logging
from collections.abc import Callable, Sequence

import lightning as L

from trainyard.run.run_builder import run_builder
from trainyard.sweeps.stacked.job_builder import JobBuilder, SharedParts
from trainyard.sweeps.stacked.job_thread import JobThread
from trainyard.sweeps.stacked.member import Member
from trainyard.sweeps.stacked.stack import Stack
from trainyard.terminal.logs import pause_log

OnEnd = Callable[[int, BaseException | None], None]


def train_stacked(
    jobs: Sequence[Callable[[], object]], on_end: OnEnd, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Run jobs that call `train`, and train their models as a stack.

    Args:
        jobs: with the same network and the same data; see `group_stackable`.
        on_end: called with the index of a job as soon as it has ended, and its error.
        interrupted: returns whether all jobs should save and stop.
    """
    threads: list[JobThread] = []
    members: list[Member] = []
    shared = SharedParts(len(jobs))

    def create_thread(index: int) -> JobThread:
        def join(trainer: L.Trainer, handlers: Sequence[logging.Handler]) -> None:
            shared.move_to(trainer.strategy.root_device)
            members.append(Member(trainer, threads[index], handlers))
            with pause_log(handlers):
                threads[index].pause()

        def run() -> object:
            run_builder.set(JobBuilder(shared, join))
            return jobs[index]()

        return JobThread(run)

    def resume(thread: JobThread, error: BaseException | None = None) -> None:
        thread.resume(error)
        if not thread.paused:
            on_end(threads.index(thread), thread.error)

    for index in range(len(jobs)):
        threads.append(create_thread(index))
        resume(threads[index])
    if members:
        Stack(members, lambda member, error: resume(member.thread, error), interrupted).train()
    for thread in threads:
        if thread.paused:
            resume(thread)
