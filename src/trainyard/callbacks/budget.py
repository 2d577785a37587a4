"""The time that looking at a run may take."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L

log = logging.getLogger(__name__)


class Budget(L.Callback):
    """Keeps what is drawn of a run below a share of the run's own time; what is left out is counted in the log.

    Without it in the config, all is drawn.

    Args:
        share: of the time since the run began, for all pictures together.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.began = time.monotonic()
        self.spent = 0.0
        self.left_out = 0

    def allows(self, seconds: float, part: float = 1.0) -> bool:
        """Whether something that takes so long may be drawn now; it may use up that part of the budget."""
        return self.spent + seconds <= part * self.share * (time.monotonic() - self.began)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Note how long something takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - began

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Say what was left out, once the test is done."""
        if stage == "test" and self.left_out and trainer.is_global_zero:
            text = (
                "pictures   %d left out, which would take more than %.2g %% of the run (callbacks=pictures draws them)"
            )
            log.info(text, self.left_out, 100 * self.share)


def budget_of(trainer: L.Trainer) -> Budget:
    """Return the budget of a run; one without end where the run has none."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback for callback in callbacks if isinstance(callback, Budget)), Budget(float("inf")))
