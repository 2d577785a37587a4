"""The steps of all optimizers and schedules of a stack."""

from collections.abc import Sequence

from trainyard.sweeps.stacked.member import Member


class Updates:
    """Steps the optimizers of the members, and then their schedules.

    Args:
        members: in the order of the stack.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.here = dict(enumerate(members))

    def step(self) -> None:
        """Change all parameters by their gradients."""
        for member in self.here.values():
            member.optimizer.step()
            for scheduler in member.schedulers:
                scheduler.step()

    def drop(self, place: int) -> None:
        """Leave a member's parameters alone from now on."""
        del self.here[place]
