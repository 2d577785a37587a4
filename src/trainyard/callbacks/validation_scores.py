"""The scores of the last validation, and a check that the objective is one of them."""

from typing import Any

import lightning as L
from torch import Tensor

from trainyard.io.errors import config_error, did_you_mean, join_limited


class ValidationScores(L.Callback):
    """Collects what the model logs in a validation. It comes before the callbacks that use the scores.

    Attributes:
        latest: scores of the last validation by name; empty before the first.

    Args:
        objective: name of the metric that has to be logged.
    """

    state_key = "ValidationScores"

    def __init__(self, objective: str) -> None:
        self.objective = objective
        self.latest: dict[str, float] = {}
        self.before: dict[str, Tensor] = {}

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collect the scores; training scores are not validation scores, even if they are logged here.

        Raises:
            ConfigError: the objective is not one of them.
        """
        if trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        changed = [name for name, value in metrics.items() if value is not self.before.get(name)]
        self.latest = {name: float(metrics[name]) for name in changed if not name.startswith("train")}
        if self.objective not in self.latest:
            problem = f"not logged in the validation{did_you_mean(self.objective, self.latest)}"
            accepted = join_limited(sorted(self.latest)) or "a metric that validation_step logs with self.log"
            raise config_error("objective", self.objective, problem, accepted)

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self.latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.latest = dict(state_dict["latest"])
