"""Lightning's own demo classes: `DemoModel` has no validation, and `BoringModel` logs nothing."""

from lightning.pytorch.demos.boring_classes import BoringModel, DemoModel
from torch import Tensor


class ValidatedDemo(DemoModel):
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/output", self(batch).mean())


class LoggingBoring(BoringModel):
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("x", self.step(batch))

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("y", self.step(batch))
