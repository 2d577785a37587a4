"""Runs that train together: each is `trainyard.run.training.train`, and waits while the stack trains."""

import logging
from collections.abc import Callable, Sequence

import lightning as L

from trainyard.run.run_builder import run_builder
from trainyard.sweeps.stacked.member import Member
from trainyard.sweeps.stacked.shared_parts import JobBuilder, Shared
from trainyard.sweeps.stacked.stack import Stack
from trainyard.sweeps.stacked.turns import Turn
from trainyard.terminal.logs import muted

Ended = Callable[[int, BaseException | None], None]


def train_stacked(
    jobs: Sequence[Callable[[], object]], ended: Ended, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Run jobs that call `train`, and train their models together.

    Args:
        jobs: with the same network and the same data; see `stackable`.
        ended: called with the place of a job as soon as it has ended, and its error.
        interrupted: whether all are to save and stop.
    """
    turns: list[Turn] = []
    members: list[Member] = []
    shared = Shared(len(jobs))

    def started(place: int) -> Callable[[], object]:
        def join(trainer: L.Trainer, handlers: Sequence[logging.Handler]) -> None:
            shared.move_to(trainer.strategy.root_device)
            members.append(Member(trainer, turns[place], handlers))
            with muted(handlers):
                turns[place].wait()

        def run() -> object:
            run_builder.set(JobBuilder(shared, join))
            return jobs[place]()

        return run

    def go(turn: Turn, thrown: BaseException | None = None) -> None:
        turn.go(thrown)
        if not turn.waits:
            ended(turns.index(turn), turn.error)

    for place in range(len(jobs)):
        turns.append(Turn(started(place)))
        go(turns[place])
    if members:
        Stack(members, lambda member, error: go(member.turn, error), interrupted).train()
    for turn in turns:
        if turn.waits:
            go(turn)
